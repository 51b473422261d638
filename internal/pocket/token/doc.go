// Package token turns text into pocket's tokens and back.
//
// A token is a fixed piece of the agent's grammar (such as `ACTION_SELECTED = ActionWrapper(thoughts="`), a word of
// the worlds' language, a punctuation mark, or <unk>. At each place the longest piece wins, else a maximal run of
// word characters is one token. The single space between two words is implied. Text made of known tokens comes back
// byte for byte; an unknown word becomes <unk>, and no text is an error.
package token
