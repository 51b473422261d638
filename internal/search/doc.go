// Package search is the agent's tool: a query in, the best k results out.
//
// # Promise
//
// At most k results, best first; of each at most 16 KiB of text, 1 KiB of title and 2 KiB of URL, without tags and
// entities, whatever the backend sends. Nothing found is no error, and what is no reply is never "nothing found".
//
// Backends, by search.kind:
//
//   - bm25 searches a corpus of JSON lines in the blob store. The same query over the same corpus gives the same results in
//     the same order, in every process: equal scores keep the order of the corpus. A query is plain text; no character of it
//     is an operator, and one without a word in it has no results. Its index (bleve, BM25 scoring) is built once per corpus
//     in a folder of its own below search.directory, which is renamed into place when it is whole. Processes that build the
//     same index at once do the work twice, and the first to finish wins. It is opened read-only, so that many processes
//     share it.
//   - retrieve, searxng, brave, serper, mediawiki and elasticsearch (OpenSearch too) are asked over HTTP; each is a
//     function of its own that makes requests and reads replies. What they make of a query is theirs.
//   - mcp calls a tool of an MCP server, over streamable HTTP or the standard streams of a program.
//
// Around them lies a cache by content, a small file for each query, bounded by search.cache_bytes. In replay mode the cache
// alone answers, so that a generation can be sampled again on the evidence it had; a query it does not know is then an
// error. Of engines whose terms may forbid it, nothing is kept unless the run says that they do not (search.retention).
//
// # Failure
//
// A search that fails is an [Error], the infrastructure's failure, and never an empty result. A client tries again what
// may pass, four times, or for as long as a busy server says when to come back, within search.timeout. A key is in no error
// and no result. A cache entry that a crash cut short is asked for again.
package search
