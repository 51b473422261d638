// Package interchange turns trajectories and training examples into the forms that other programs read, and reads those
// forms that carry enough.
//
//	form               made of       read   for
//	prompt-completion  examples      yes    TRL's SFT, Axolotl, LLaMA-Factory (alpaca with columns)
//	messages           examples      yes    chat fine-tuning: TRL, OpenAI, Axolotl's chat_template
//	input-output       examples      yes    Axolotl's input_output: no template, the prompt masked
//	preference         feedback      no     TRL's DPO and reward models: prompt, chosen, rejected
//	atropos            feedback      no     Atropos: groups of scored messages
//	verifiers          trajectories  yes    verifiers and prime-rl: a traces.jsonl of episodes
//	react              trajectories  yes    ReAct's text: thought, action, observation
//	trajectories       trajectories  yes    Ratchet's own, with feedback and verdicts: nothing is lost
//
// # Promise
//
// Records and examples are handed on one at a time: memory is that of one, whatever the size of the set. The same records
// make the same bytes. A form that is read, is read as it was written: what it can hold comes back, and what it cannot
// hold is said in its own file.
//
// A step that an imported text does not tell of, but that the agent's state machine needs, is made up so that the
// trajectory replays. It is marked ([Inferred]) and never becomes an example, a pair or a scored group.
//
// # Failure
//
// What cannot be read is an *Error that names file, line, what was expected and, where there is one, the fix; the reader
// goes on with the next record if the caller does. What has no place in a form, such as a step that nobody ranked, is left
// out and counted by reason ([Tally]). Nothing here executes what it reads.
package interchange
