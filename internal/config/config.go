package config

import "time"

// Config is every setting of every role. One file, one struct: a role reads the parts it needs, so one file
// (a ConfigMap, say) serves them all. Defaults are in Default; the field comments are the manual.
// Order of precedence: flag, environment (RATCHET_<SECTION>_<KEY>), file, default.
type Config struct {
	// Bus is how to reach NATS and what the topology's limits are.
	Bus Bus `yaml:"bus"`
	// Blob is where mixtures, checkpoints, question sets and large events lie.
	Blob Blob `yaml:"blob"`
	// LLM bounds the calls to model endpoints, whichever they are.
	LLM LLM `yaml:"llm"`
	// Search holds what a search tool needs that no run may name: keys, caches.
	Search Search `yaml:"search"`
	// Coordinator, Rollout, Rank, Bridge and Evaluator are the roles' own settings.
	Coordinator Coordinator `yaml:"coordinator"`
	Rollout     Rollout     `yaml:"rollout"`
	Rank        Rank        `yaml:"rank"`
	Bridge      Bridge      `yaml:"bridge"`
	Evaluator   Evaluator   `yaml:"evaluator"`
	// HTTP serves /healthz, /readyz and /metrics.
	HTTP HTTP `yaml:"http"`
	// Log is the form and level of the log on stderr.
	Log Log `yaml:"log"`
	// Up is `ratchet up` only: the embedded servers.
	Up Up `yaml:"up"`
}

// Bus is how to reach NATS.
type Bus struct {
	// URL of the NATS servers, comma separated. Defaults to nats://127.0.0.1:4222.
	URL string `yaml:"url"`
	// NKeyFile holds the seed of the role's NATS user, as `ratchet auth init` makes them; {role} in the path stands for
	// the role's name, so that one file serves all. Optional: an open bus asks for none.
	NKeyFile string `yaml:"nkey_file"`
	// CredsFile is a NATS credentials file, in place of NKeyFile; CAFile the authority of the servers' TLS certificate,
	// CertFile and KeyFile the client's own. All optional.
	CredsFile string `yaml:"creds_file"`
	CAFile    string `yaml:"ca_file"`
	CertFile  string `yaml:"cert_file"`
	KeyFile   string `yaml:"key_file"`
	// Replicas of every stream and bucket: 1 for one server, 3 for a cluster. Defaults to 1.
	Replicas int `yaml:"replicas"`
	// AckWait is how long a silent worker keeps a task; workers say "in progress" every third of it, so it is
	// also the time to notice a crash. Defaults to 60 s (`ratchet up`: 5 s).
	AckWait time.Duration `yaml:"ack_wait"`
	// LeaseTTL is how long a silent leader stays one. Defaults to 10 s (`ratchet up`: 2 s).
	LeaseTTL time.Duration `yaml:"lease_ttl"`
	// MaxDeliver is after how many deliveries a task is a dead letter. Defaults to 8.
	MaxDeliver int `yaml:"max_deliver"`
	// MaxAckPending bounds the tasks of a kind in progress over all workers. Defaults to 4000.
	MaxAckPending int `yaml:"max_ack_pending"`
	// Kinds are plug-in task kinds; the coordinator makes a queue for each. Defaults to none.
	Kinds []string `yaml:"kinds"`
	// Rankers and Judges are plug-ins that follow trajectories, by name; each, as each of Kinds, has a NATS user of its
	// own. Default to none.
	Rankers []string `yaml:"rankers"`
	Judges  []string `yaml:"judges"`
	// StoreDirectory is where the server keeps the streams, if this process sees that disk: then a run is refused that the
	// disk cannot hold. `ratchet up` sets it. Defaults to empty.
	StoreDirectory string `yaml:"store_directory"`
	// MaxBytes bounds each of nine streams on disk; the server reserves their sum. Defaults to 4 GiB.
	MaxBytes int64 `yaml:"max_bytes"`
}

// Blob is an S3 bucket or a directory.
type Blob struct {
	// URL is s3://bucket/prefix or file:///directory. Defaults to file://ratchet-data/blobs.
	URL string `yaml:"url"`
	// Endpoint is the S3 server, http://host:port or https://host; empty means AWS.
	Endpoint string `yaml:"endpoint"`
	Region   string `yaml:"region"`
	// AccessKeyFile and SecretKeyFile hold the keys; else AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY.
	AccessKeyFile string `yaml:"access_key_file"`
	SecretKeyFile string `yaml:"secret_key_file"`
	CAFile        string `yaml:"ca_file"`
	// Timeout bounds one request. Defaults to 2 min.
	Timeout time.Duration `yaml:"timeout"`
}

// LLM bounds calls to model endpoints.
type LLM struct {
	// KeyFile holds the API key sent to every endpoint; KeyFiles names one by endpoint's host[:port].
	KeyFile  string            `yaml:"key_file"`
	KeyFiles map[string]string `yaml:"key_files"`
	// Timeout bounds one call, retries apart. Defaults to 2 min.
	Timeout time.Duration `yaml:"timeout"`
	// Tries is how often one call is tried before it is an infrastructure failure. Defaults to 4.
	Tries int `yaml:"tries"`
	// Wait bounds the time that all tries of one call may take together. Defaults to 5 min.
	Wait time.Duration `yaml:"wait"`
	// Connections bounds the connections to one endpoint. Defaults to 256.
	Connections int `yaml:"connections"`
	// OpenAfter failures in a row the endpoint's circuit opens, and nothing is pulled until a probe succeeds
	// after OpenFor. Defaults to 5 and 2 s.
	OpenAfter int           `yaml:"open_after"`
	OpenFor   time.Duration `yaml:"open_for"`
	// MaxReply is the largest reply read, in bytes. Defaults to 8 MiB.
	MaxReply int64 `yaml:"max_reply"`
}

// Search holds the search tool's local matters.
type Search struct {
	// Directory keeps indexes and cached results, by content. Defaults to ratchet-data/search.
	Directory string `yaml:"directory"`
	// KeyFile holds the key sent to every search server; KeyFiles names one by server's host[:port].
	KeyFile  string            `yaml:"key_file"`
	KeyFiles map[string]string `yaml:"key_files"`
	// MCPCommand is a program, with its arguments, that runs with kind mcp and no URL speak MCP to on its standard input
	// and output. It stands here because a run's author is not who says what runs on a worker. Defaults to none.
	MCPCommand []string `yaml:"mcp_command"`
	// Timeout bounds one query. Defaults to 30 s.
	Timeout time.Duration `yaml:"timeout"`
	// Connections bounds the requests that a worker has at one search server. Defaults to 128.
	Connections int `yaml:"connections"`
	// Cache of results by query: record (default; asks what is not in it), replay (answers what is in it, and nothing
	// else), refresh (asks again, and keeps the new results) or off.
	Cache string `yaml:"cache"`
	// CacheBytes bounds the cache; the oldest results go. Defaults to 1 GiB.
	CacheBytes int64 `yaml:"cache_bytes"`
}

// Coordinator settings.
type Coordinator struct {
	// Shard is the number of questions per task. Defaults to 4.
	Shard int `yaml:"shard"`
	// Window is how many tasks are published ahead of the workers. Defaults to 1000.
	Window int `yaml:"window"`
	// Poll is the longest time between two looks at the state of a run. Defaults to 2 s.
	Poll time.Duration `yaml:"poll"`
}

// Rollout settings.
type Rollout struct {
	// Slots is how many trajectories one worker has in flight. Defaults to 16.
	Slots int `yaml:"slots"`
	// Drain is how long work in flight may go on after SIGTERM. Defaults to 20 s.
	Drain time.Duration `yaml:"drain"`
}

// Rank settings.
type Rank struct {
	// Rankers that this worker serves. Defaults to llm and perplexity.
	Rankers []string `yaml:"rankers"`
	// Slots is how many trajectories it ranks at once. Defaults to 8.
	Slots int           `yaml:"slots"`
	Drain time.Duration `yaml:"drain"`
}

// Bridge settings.
type Bridge struct {
	// Directory is the work space of jobs and checkpoints; a model server must see the same path. Defaults to
	// ratchet-data/training.
	Directory string `yaml:"directory"`
	// Host is where the servers that the deployer command starts listen, {host}: a name of this machine by which the
	// rollout workers reach it. Defaults to 127.0.0.1.
	Host string `yaml:"host"`
	// Ports is the range that these servers may have, such as 8000-8099. Defaults to any that is free.
	Ports string `yaml:"ports"`
	// Kubernetes is the cluster of the driver and the deployer kubernetes.
	Kubernetes Kubernetes `yaml:"kubernetes"`
	// Jobs is how many training jobs run at once. Defaults to 1.
	Jobs int `yaml:"jobs"`
	// Reconcile is how often served checkpoints are looked after. Defaults to 15 s.
	Reconcile time.Duration `yaml:"reconcile"`
	Drain     time.Duration `yaml:"drain"`
}

// Kubernetes is where jobs and servers run.
type Kubernetes struct {
	// Namespace of the Jobs, Deployments and Services. Empty means that the bridge speaks to no cluster. Defaults to empty.
	Namespace string `yaml:"namespace"`
	// Kubeconfig is a file that says how to reach the cluster. Defaults to empty: the ServiceAccount of the bridge's pod.
	Kubeconfig string `yaml:"kubeconfig"`
	// Claim is the PersistentVolumeClaim, ReadWriteMany, that the bridge has mounted at bridge.directory; the pods mount it
	// at the same path. Defaults to checkpoints.
	Claim string `yaml:"claim"`
}

// Evaluator settings.
type Evaluator struct {
	// Judges that this worker serves. Defaults to llm.
	Judges []string `yaml:"judges"`
	// Slots is how many trajectories it judges at once. Defaults to 8.
	Slots int           `yaml:"slots"`
	Drain time.Duration `yaml:"drain"`
}

// HTTP is a role's own small server.
type HTTP struct {
	// Listen is its address; empty means none. Defaults to empty (`ratchet up`: 127.0.0.1:7420).
	Listen string `yaml:"listen"`
}

// Log settings.
type Log struct {
	// Level is debug, info, warn or error. Defaults to info.
	Level string `yaml:"level"`
	// Format is text or json. Defaults to text on a terminal, json elsewhere.
	Format string `yaml:"format"`
}

// Up settings: the servers that `ratchet up` embeds.
type Up struct {
	// Directory holds everything: bus, blobs, search, training. Defaults to ratchet-data.
	Directory string `yaml:"directory"`
	// Bus is the embedded nats-server's address. Defaults to 127.0.0.1:4222.
	Bus string `yaml:"bus"`
	// Pocket is the address of the embedded policy's server; "off" for none. Defaults to 127.0.0.1:7421.
	Pocket string `yaml:"pocket"`
	// PocketSeed is the seed of pocket's world. Defaults to 7.
	PocketSeed int64 `yaml:"pocket_seed"`
}

// Default is the configuration without file, environment and flags.
func Default() Config {
	return Config{
		Bus: Bus{
			URL: "nats://127.0.0.1:4222", Replicas: 1, AckWait: time.Minute, LeaseTTL: 10 * time.Second, MaxDeliver: 8, MaxAckPending: 4000,
			MaxBytes: 4 << 30,
		},
		Blob:        Blob{URL: "file://ratchet-data/blobs", Region: "us-east-1", Timeout: 2 * time.Minute},
		LLM:         LLM{Timeout: 2 * time.Minute, Tries: 4, Wait: 5 * time.Minute, Connections: 256, OpenAfter: 5, OpenFor: 2 * time.Second, MaxReply: 8 << 20},
		Search:      Search{Directory: "ratchet-data/search", Timeout: 30 * time.Second, Connections: 128, Cache: CacheRecord, CacheBytes: 1 << 30},
		Coordinator: Coordinator{Shard: 4, Window: 1000, Poll: 2 * time.Second},
		Rollout:     Rollout{Slots: 16, Drain: 20 * time.Second},
		Rank:        Rank{Rankers: []string{"llm", "perplexity"}, Slots: 8, Drain: 20 * time.Second},
		Bridge:      Bridge{Directory: "ratchet-data/training", Host: "127.0.0.1", Kubernetes: Kubernetes{Claim: "checkpoints"}, Jobs: 1, Reconcile: 15 * time.Second, Drain: 20 * time.Second},
		Evaluator:   Evaluator{Judges: []string{"llm"}, Slots: 8, Drain: 20 * time.Second},
		Log:         Log{Level: "info"},
		Up:          Up{Directory: "ratchet-data", Bus: "127.0.0.1:4222", Pocket: "127.0.0.1:7421", PocketSeed: 7},
	}
}
