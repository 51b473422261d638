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
package pocket
