// Package search is the agent's tool: a query in, the best k results out.
//
// # Promise
//
// The same query over the same corpus gives the same results in the same order, in every process: equal scores keep
// the order of the corpus. A query is plain text; no character of it is an operator, and one without a word in it
// has no results. Nothing found is no error. Of a result at most 16 KiB of text, 1 KiB of title and 2 KiB of URL are
// returned, whatever the backend sends.
//
// Two backends are built in, a case each in Open:
//
//   - bm25 searches a corpus of JSON lines in the blob store. Its index (bleve, BM25 scoring) is built once per corpus
//     in a folder of its own below search.directory, which is renamed into place when it is whole. Processes that
//     build the same index at once do the work twice, and the first to finish wins. It is opened read-only, so that
//     many processes share it.
//   - retrieve asks a Search-R1 server, POST /retrieve.
//
// Around either lies a cache by content, a small file for each query. In replay mode the cache alone answers, so that
// a generation can be sampled again on the evidence it had; a query it does not know is then an error.
//
// # Failure
//
// A search that fails is an [Error], the infrastructure's failure, and never an empty result. The retrieve client
// tries again what may pass, within search.timeout. A cache entry that a crash cut short is asked for again.
package search
