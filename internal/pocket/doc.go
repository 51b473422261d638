// Package pocket is the embedded policy: a model server, a trainer and a judge to run, learn and test the system by
// where there is no GPU, key or network. It is named what it is: a stand-in, no language model worth using.
//
// What is real. The policy is a transformer of about 110,000 parameters in plain Go (package nn) that generates the
// agent's Python actions token by token. Its base is trained, at the first start, on demonstrations by a sloppy
// teacher (package demo) in fictional worlds (package world) other than the one it will be asked about. It is served
// over the HTTP of an OpenAI-compatible server and fine-tuned on the mixtures of a run like any other policy. How much
// a run improves it is measured, never scripted.
//
// What is not. The judge, pocket-judge, is a rule-based reader of the prompts it is given (package reader). It knows
// neither the world nor a gold answer that is not in its prompt, but in the worlds' small language it is a near-perfect
// reader, so it stands for a judge far better than the policy. Every response of it says what it is.
//
// The parts:
//
//	Server      /v1/models, /v1/completions, /v1/chat/completions, vLLM's load_lora_adapter and unload_lora_adapter,
//	            /health; 503 until Prepare has the bases
//	Train       the trainer of the `command` driver: manifest in, pocket.bin and pocket.json out
//	WriteWorld  a world as files: corpus, pool, held-out questions
//	Experiment  the whole loop in one process, for figures such as those below
//
// Failures. A base is trained once per recipe and cached under the hash of everything it depends on, the text of
// every demonstration included; the cache is written by a rename, and a damaged entry is an error that names it, never
// silently trained over. A training that is stopped leaves nothing and is started over: it takes seconds. Loaded
// checkpoints live in memory only, as in vLLM: whoever loaded them looks after them.
//
// # Figures
//
// Right answers in % of 125 held-out questions, `ratchet pocket experiment`, 3 repetitions, grown at T=0.7, evaluated at
// T=0.5. Rows 41-44 were run once, after the last change of the recipe; no judge is generation 1 trained on the samples
// of lowest perplexity; * marks a gain over the generation before that is significant (paired bootstrap, 95 %).
//
//	seed       gen 0  no judge  gen 1  gen 2
//	41          18.9      23.7  58.7*  86.7*
//	42          33.3      32.5  66.7*  82.4*
//	43          69.6     76.0*  90.4*  97.1*
//	44          21.6      25.1  38.9*  58.7*
//	7 (default) 49.9      53.3  66.9*  88.5*
//
// So the judge does most of the work, the gain is there in every world, and its size varies widely from seed to seed.
// The recipe was tuned on other seeds, on 7 among them: 7 is the default because its loop runs in the usual way, not
// because it is fresh. Its student (BaseSmall), trained on the same mixtures, goes 13.6, 52.8, 64.0. The self-checks
// add 0 to 12 points in generation 0 and 2 to 26 in generation 2, where the paper has about 1.
//
// Processor time: a base about a minute (the small one less than half), once; a fine-tuning about 20 s; an evaluation
// of 375 trajectories about 5 s; all of it together about 150 s a seed with the control.
package pocket
