// Package dataset reads sets of questions, whatever form they come in, and writes them in the one form that roles
// read.
//
// Promise: a JSON array, an object around one, JSON lines, CSV, TSV and Parquet, gzipped or not, with the field
// names of the usual question-answering sets (ELI5, HotpotQA, FlashRAG, Search-R1, CoRAG, SimpleDeepSearcher,
// MuSiQue, 2Wiki, NQ, TriviaQA, PopQA, Bamboogle, BamTwoogle) are read without configuration. The content decides
// the form, not the file's name.
//
// Questions are handed over one at a time; a million take about 80 MB, which tell the repeated ones.
//
// A pool cannot hold answers: LoadPool hands over Question, which has no place for them, and never looks inside an
// answer field; it only says that there is one.
//
// Failure handling: what makes the set unusable is an *Error that names file and line, the keys found there, what
// was expected, and the fix. What only makes a row unusable (no text, a text over 16 KiB, no answer in an
// evaluation set, a question seen before) drops the row and is counted in one Warning with the first examples.
// A file may not make the process run out of memory: a row may have 256 MiB, a decompressed file 8 GiB.
package dataset
