package token

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"strings"
)

// Unknown is the id of <unk>, which stands for any word that is not in the vocabulary.
const Unknown int32 = 0

// punctuation are the marks that are tokens by themselves.
const punctuation = "\n \t!\"#$%&'()*+,-./:;<=>?@[\\]^`{|}~"

// Vocabulary is a fixed list of tokens. It is immutable.
type Vocabulary struct {
	texts  []string
	isWord []bool
	words  map[string]int32
	pieces map[byte][]piece // by first byte, longest first
	space  int32            // the token of a space alone
}

type piece struct {
	text string
	id   int32
}

// New makes a vocabulary of pieces and words; what is given twice counts once. The size is padded to a multiple of
// 16 with ids that no text has.
func New(pieces, words []string) *Vocabulary {
	v := &Vocabulary{words: map[string]int32{}, pieces: map[byte][]piece{}}
	v.add("<unk>", true)
	seen := map[string]bool{}
	for _, p := range slices.Concat(pieces, strings.Split(punctuation, "")) {
		if p != "" && !seen[p] {
			seen[p] = true
			id := v.add(p, false)
			v.pieces[p[0]] = append(v.pieces[p[0]], piece{p, id})
			if p == " " {
				v.space = id
			}
		}
	}
	for _, w := range words {
		if _, ok := v.words[w]; !ok {
			v.words[w] = v.add(w, true)
		}
	}
	for _, list := range v.pieces {
		slices.SortStableFunc(list, func(a, b piece) int { return cmp.Compare(len(b.text), len(a.text)) })
	}
	for len(v.texts)%16 != 0 {
		v.add("", false)
	}
	return v
}

func (v *Vocabulary) add(text string, word bool) int32 {
	v.texts = append(v.texts, text)
	v.isWord = append(v.isWord, word)
	return int32(len(v.texts) - 1)
}

// Size is the number of ids.
func (v *Vocabulary) Size() int { return len(v.texts) }

// Hash names the vocabulary: a model is of use only with the one that it was trained with.
func (v *Vocabulary) Hash() string {
	sum := sha256.Sum256([]byte(strings.Join(v.texts, "\x00")))
	return hex.EncodeToString(sum[:8])
}

// Encode never fails: what it does not know becomes Unknown.
func (v *Vocabulary) Encode(text string) []int32 {
	ids := make([]int32, 0, len(text)/4)
	for at := 0; at < len(text); {
		id, n := v.next(text, at)
		if id == v.space && len(ids) > 0 && v.isWord[ids[len(ids)-1]] && v.wordAt(text, at+1) {
			at++ // implied
			continue
		}
		ids = append(ids, id)
		at += n
	}
	return ids
}

// next is the token at a place of the text, and its length in bytes.
func (v *Vocabulary) next(text string, at int) (id int32, n int) {
	for _, p := range v.pieces[text[at]] {
		if strings.HasPrefix(text[at:], p.text) && !cutsWord(text, at+len(p.text)) {
			return p.id, len(p.text)
		}
	}
	for n = 1; at+n < len(text) && wordByte(text[at+n]); n++ {
	}
	if id, ok := v.words[text[at:at+n]]; ok {
		return id, n
	}
	return Unknown, n
}

// wordAt says whether a word begins at a place of the text, rather than a piece.
func (v *Vocabulary) wordAt(text string, at int) bool {
	if at >= len(text) || !wordByte(text[at]) {
		return false
	}
	id, _ := v.next(text, at)
	return v.isWord[id]
}

// cutsWord says whether a token that ends here would end in the middle of a word.
func cutsWord(text string, end int) bool {
	return end < len(text) && wordByte(text[end-1]) && wordByte(text[end])
}

// wordByte: letters, digits, _, and every byte that is no punctuation, so that any text has tokens.
func wordByte(c byte) bool { return strings.IndexByte(punctuation, c) < 0 }

// Decode joins tokens, with a space between two words.
func (v *Vocabulary) Decode(ids []int32) string {
	var b strings.Builder
	for i := range ids {
		b.WriteString(v.Piece(ids, i))
	}
	return b.String()
}

// Piece is what the i-th of the tokens adds to the text: an implied space belongs to the word behind it.
func (v *Vocabulary) Piece(ids []int32, i int) string {
	if i > 0 && v.isWord[ids[i]] && v.isWord[ids[i-1]] {
		return " " + v.texts[ids[i]]
	}
	return v.texts[ids[i]]
}
