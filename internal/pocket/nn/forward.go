package nn

import "math"

// past is what positions yet to come need of those computed: it grows by a row per token and layer.
type past struct {
	tokens []int32
	layers []memory
	ptrKey []float32 // tokens x dim: what the pointer looks at
}

// memory is one layer's share of past, tokens x dim each.
type memory struct{ normed, key, value []float32 }

// share returns a past that continues from p without disturbing it: clipped slices are copied by their first
// append, so the rows computed so far are shared until then.
func (p *past) share() past {
	c := past{tokens: clip(p.tokens), ptrKey: clip(p.ptrKey), layers: make([]memory, len(p.layers))}
	for i, m := range p.layers {
		c.layers[i] = memory{normed: clip(m.normed), key: clip(m.key), value: clip(m.value)}
	}
	return c
}

func (p *past) reset(layers int) {
	if p.layers == nil {
		p.layers = make([]memory, layers)
	}
	p.tokens, p.ptrKey = p.tokens[:0], p.ptrKey[:0]
	for i, m := range p.layers {
		p.layers[i] = memory{normed: m.normed[:0], key: m.key[:0], value: m.value[:0]}
	}
}

func clip[T any](s []T) []T { return s[:len(s):len(s)] }

// pass is one forward computation over the rows [from, to), with what the backward one needs of it.
// It is scratch: reused, never shared between goroutines.
type pass struct {
	from, want, to int // rows before from are in the past; outputs are wanted from row want on
	blocks         []block
	last           []float32 // (to-want) x dim: what the last block put out
	invNorm        []float32
	final          []float32 // (to-want) x dim: the normed last
	ptrQuery       []float32
	ptrProb        []float32 // (to-want) x to
	gate           []float32
	vocab          []float32 // (to-want) x vocab: the softmax over the vocabulary
}

// block is one layer's activations; in the last layer everything behind conv covers the wanted rows only.
type block struct {
	low             int // the first row of those behind conv
	in, conv        []float32
	inv1, inv2      []float32
	query, mix      []float32
	prob            []float32 // rows x heads x to
	mid, normed, up []float32
}

// grow makes *s n zeros long, reusing what it has.
func grow(s *[]float32, n int) []float32 {
	if cap(*s) < n {
		*s = make([]float32, n, n+n/4)
		return *s
	}
	*s = (*s)[:n]
	clear(*s)
	return *s
}

// extend appends n zeros to *s and returns them.
func extend(s *[]float32, n int) []float32 {
	k := len(*s)
	if cap(*s) >= k+n {
		*s = (*s)[:k+n]
		clear((*s)[k:])
	} else {
		*s = append(*s, make([]float32, n)...)
	}
	return (*s)[k:]
}

// forward runs tokens through the model behind the past, which it extends; pass then holds the distributions
// that follow the rows from want on.
func (m *Model) forward(p *past, q *pass, tokens []int32, want int) {
	q.from, q.want = len(p.tokens), want
	p.tokens = append(p.tokens, tokens...)
	q.to = len(p.tokens)
	if len(q.blocks) != m.Layers {
		q.blocks = make([]block, m.Layers)
	}
	d := m.Dim
	x := grow(&q.blocks[0].in, len(tokens)*d)
	for i, t := range tokens {
		copy(x[i*d:(i+1)*d], m.w.embed[int(t)*d:])
	}
	for i := range m.w.layers {
		low, out := q.from, &q.last
		if i == m.Layers-1 {
			low = want
		} else {
			out = &q.blocks[i+1].in
		}
		m.block(&m.w.layers[i], &p.layers[i], &q.blocks[i], q, low, out)
	}
	m.head(p, q)
}

// block computes one layer and writes its output rows [low, to) to *out.
func (m *Model) block(w *layer, mem *memory, b *block, q *pass, low int, out *[]float32) {
	d, n, rows := m.Dim, q.to-q.from, q.to-low
	b.low = low
	normed := extend(&mem.normed, n*d)
	inv := grow(&b.inv1, n)
	for r := range n {
		inv[r] = rmsnorm(normed[r*d:(r+1)*d], b.in[r*d:(r+1)*d], w.norm1)
	}
	convolve(grow(&b.conv, n*d), mem.normed, w.conv, q.from, d)
	rowsVecMat(extend(&mem.key, n*d), b.conv, w.key, d, d)
	rowsVecMat(extend(&mem.value, n*d), b.conv, w.value, d, d)
	rowsVecMat(grow(&b.query, rows*d), b.conv[(low-q.from)*d:], w.query, d, d)
	m.attend(mem, b, q.to)

	mid := grow(&b.mid, rows*d)
	copy(mid, b.in[(low-q.from)*d:])
	rowsVecMat(mid, b.mix, w.out, d, d)
	inv, norm2 := grow(&b.inv2, rows), grow(&b.normed, rows*d)
	for r := range rows {
		inv[r] = rmsnorm(norm2[r*d:(r+1)*d], mid[r*d:(r+1)*d], w.norm2)
	}
	up := grow(&b.up, rows*m.Hidden)
	rowsVecMat(up, norm2, w.up, d, m.Hidden)
	for i, v := range up {
		up[i] = max(v, 0)
	}
	y := grow(out, rows*d)
	copy(y, mid)
	rowsVecMat(y, up, w.down, m.Hidden, d)
}

// rowsVecMat adds x*W to y; each row comes out the same however many rows there are.
func rowsVecMat(y, x, w []float32, nx, ny int) {
	rows, r := len(y)/ny, 0
	for ; r+2 <= rows; r += 2 {
		vecMat2(y[r*ny:(r+1)*ny], y[(r+1)*ny:(r+2)*ny], x[r*nx:(r+1)*nx], x[(r+1)*nx:(r+2)*nx], w)
	}
	if r < rows {
		vecMat(y[r*ny:], x[r*nx:(r+1)*nx], w)
	}
}

// convolve writes rows [from, ...) of the causal depthwise convolution of all rows of x to y.
func convolve(y, x, taps3 []float32, from, d int) {
	w0, w1, w2 := taps3[:d], taps3[d:2*d], taps3[2*d:3*d]
	for r := range len(y) / d {
		t, yr := from+r, y[r*d:(r+1)*d]
		x0 := x[t*d : (t+1)*d]
		for i := range yr {
			yr[i] = float32(w0[i] * x0[i])
		}
		if t >= 1 {
			addProduct(yr, w1, x[(t-1)*d:])
		}
		if t >= 2 {
			addProduct(yr, w2, x[(t-2)*d:])
		}
	}
}

// addProduct adds the elementwise product of a and b to y.
func addProduct(y, a, b []float32) {
	a, b = a[:len(y)], b[:len(y)]
	for i := range y {
		y[i] += float32(a[i] * b[i])
	}
}

// attend is causal multi-head attention of the rows [b.low, to), with ALiBi's linear distance penalty.
func (m *Model) attend(mem *memory, b *block, to int) {
	d, hd, rows := m.Dim, m.Dim/m.Heads, to-b.low
	scale := 1 / float32(math.Sqrt(float64(hd)))
	mix := grow(&b.mix, rows*d)
	prob := grow(&b.prob, rows*m.Heads*to)
	for r := range rows {
		t := b.low + r
		for h := range m.Heads {
			s := prob[(r*m.Heads+h)*to:][:t+1]
			at := h * hd
			scores(s, b.query[r*d+at:][:hd], mem.key[at:], d)
			for j := range s {
				s[j] = float32(s[j]*scale) - float32(slopes[h]*float32(t-j))
			}
			softmax(s)
			weigh(mix[r*d+at:][:hd], s, mem.value[at:], d)
		}
	}
}

// scores writes the inner products of x with rows of w that lie stride apart.
func scores(s, x, w []float32, stride int) {
	n, j := len(x), 0
	for ; j+4 <= len(s); j += 4 {
		k := w[j*stride:]
		s[j], s[j+1], s[j+2], s[j+3] = dot4(x, k, k[stride:], k[2*stride:], k[3*stride:])
	}
	for ; j < len(s); j++ {
		var sum float32
		for i, v := range w[j*stride:][:n] {
			sum += float32(x[i] * v)
		}
		s[j] = sum
	}
}

// weigh adds the rows of w that lie stride apart, weighted by s, to y.
func weigh(y, s, w []float32, stride int) {
	n, j := len(y), 0
	for ; j+4 <= len(s); j += 4 {
		k := w[j*stride:]
		axpy4(y, s[j], s[j+1], s[j+2], s[j+3], k, k[stride:], k[2*stride:], k[3*stride:])
	}
	for ; j < len(s); j++ {
		axpy(y, s[j], w[j*stride:][:n])
	}
}

// head turns the last block's rows into a gate, a distribution over the vocabulary and one over positions.
func (m *Model) head(p *past, q *pass) {
	d, rows := m.Dim, q.to-q.want
	conv := q.blocks[m.Layers-1].conv
	rowsVecMat(extend(&p.ptrKey, len(conv)), conv, m.w.ptrK, d, d)

	inv, final := grow(&q.invNorm, rows), grow(&q.final, rows*d)
	query, gate := grow(&q.ptrQuery, rows*d), grow(&q.gate, rows)
	ptr, vocab := grow(&q.ptrProb, rows*q.to), grow(&q.vocab, rows*m.Vocab)
	for r := range rows {
		h := final[r*d : (r+1)*d]
		inv[r] = rmsnorm(h, q.last[r*d:(r+1)*d], m.w.norm)
		gate[r] = sigmoid(dot(h, m.w.gate[:d]) + m.w.gate[d])
		v := vocab[r*m.Vocab : (r+1)*m.Vocab]
		matVec(v, m.w.embed, h)
		softmax(v)
		qr := query[r*d : (r+1)*d]
		vecMat(qr, h, m.w.ptrQ)
		s := ptr[r*q.to:][:q.want+r+1]
		scores(s, qr, p.ptrKey, d)
		for j := range s {
			s[j] *= m.ptrScale()
		}
		softmax(s)
	}
}

func (m *Model) ptrScale() float32 { return 1 / float32(math.Sqrt(float64(m.Dim))) }

// pointed is the pointer's mass on a token.
func (q *pass) pointed(p *past, row int, token int32) float32 {
	var sum float32
	for j, a := range q.ptrProb[row*q.to:][:q.want+row+1] {
		if p.tokens[j] == token {
			sum += a
		}
	}
	return sum
}

// distribution writes the mixture of both distributions behind wanted row `row` to d.
func (q *pass) distribution(d []float32, p *past, row int) {
	g := q.gate[row]
	for i, v := range q.vocab[row*len(d) : (row+1)*len(d)] {
		d[i] = float32(g * v)
	}
	for j, a := range q.ptrProb[row*q.to:][:q.want+row+1] {
		d[p.tokens[j]] += float32((1 - g) * a)
	}
}
