package nn

import "math"

// Example is a prompt and the completion to learn behind it.
type Example struct{ Prompt, Completion []int32 }

// grads computes gradients of examples one after the other into its own vector: one shard of a batch.
type grads struct {
	flat []float32
	w    weights
	past past
	pass pass

	dOut, dMid, dIn             []float32
	dUp, dNormed, dMix          []float32
	dQuery, dKey, dValue, dConv []float32
	dFinal, dPtrQ, dPtrKey      []float32
	dVocab, dScore, dRow        []float32
}

func newGrads(s Shape) *grads {
	flat := make([]float32, s.Parameters())
	return &grads{flat: flat, w: s.views(flat)}
}

// learn adds the gradient of scale * (sum of the completion's losses) and returns that sum of losses, in nats.
func (g *grads) learn(m *Model, ex Example, scale float32) float64 {
	tokens := append(append([]int32(nil), ex.Prompt...), ex.Completion...)
	g.past.reset(m.Layers)
	m.forward(&g.past, &g.pass, tokens[:len(tokens)-1], len(ex.Prompt)-1)
	loss := g.headBack(m, ex.Completion, scale)
	for i := m.Layers - 1; i >= 0; i-- {
		g.blockBack(m, i)
	}
	for i, t := range g.past.tokens {
		axpy(g.w.embed[int(t)*m.Dim:][:m.Dim], 1, g.dOut[i*m.Dim:])
	}
	return loss
}

// probability is what the mixture gives a token behind a wanted row: the sum that distribution makes.
func (q *pass) probability(p *past, row, vocab int, token int32) float32 {
	gate := q.gate[row]
	sum := float32(gate * q.vocab[row*vocab+int(token)])
	for j, a := range q.ptrProb[row*q.to:][:q.want+row+1] {
		if p.tokens[j] == token {
			sum += float32((1 - gate) * a)
		}
	}
	return sum
}

// headBack turns the losses into gradients of the last block's rows (dOut) and of the pointer's keys.
func (g *grads) headBack(m *Model, targets []int32, scale float32) (loss float64) {
	q, p, d := &g.pass, &g.past, m.Dim
	rows := len(targets)
	dFinal := grow(&g.dFinal, rows*d)
	dPtrQ, dPtrKey := grow(&g.dPtrQ, rows*d), grow(&g.dPtrKey, q.to*d)
	dVocab := grow(&g.dVocab, rows*m.Vocab)
	for r, y := range targets {
		prob := max(q.probability(p, r, m.Vocab, y), 1e-20)
		loss -= math.Log(float64(prob))
		dp := -scale / prob
		gate, dh := q.gate[r], dFinal[r*d:(r+1)*d]
		h := q.final[r*d : (r+1)*d]

		soft := q.vocab[r*m.Vocab : (r+1)*m.Vocab]
		dv := dVocab[r*m.Vocab : (r+1)*m.Vocab]
		c := float32(dp * float32(gate*soft[y]))
		axpy(dv, -c, soft)
		dv[y] += c
		vecMat(dh, dv, m.w.embed)

		pointed := q.pointed(p, r, y)
		g.pointerBack(m, r, y, float32(dp*(1-gate)), pointed)
		matVec(dh, m.w.ptrQ, dPtrQ[r*d:(r+1)*d])

		dg := float32(float32(dp*(soft[y]-pointed)) * float32(gate*(1-gate)))
		axpy(dh, dg, m.w.gate[:d])
		axpy(g.w.gate[:d], dg, h)
		g.w.gate[d] += dg
	}
	outer(g.w.embed, dVocab, m.Vocab, q.final, d)
	outer(g.w.ptrQ, q.final, d, dPtrQ, d)
	outer(g.w.ptrK, q.blocks[m.Layers-1].conv, d, dPtrKey, d)
	dOut := grow(&g.dOut, rows*d)
	for r := range rows {
		rmsnormBack(dOut[r*d:(r+1)*d], g.w.norm, dFinal[r*d:(r+1)*d], q.last[r*d:(r+1)*d], m.w.norm, q.invNorm[r])
	}
	return loss
}

// pointerBack is the gradient of one row's pointer, which gave the target the mass `pointed`.
func (g *grads) pointerBack(m *Model, r int, y int32, dMass, pointed float32) {
	q, d := &g.pass, m.Dim
	prob := q.ptrProb[r*q.to:][:q.want+r+1]
	ds := grow(&g.dScore, len(prob))
	for j, a := range prob {
		hit := -pointed
		if g.past.tokens[j] == y {
			hit++
		}
		ds[j] = float32(float32(float32(a*hit)*dMass) * m.ptrScale())
	}
	weigh(g.dPtrQ[r*d:(r+1)*d], ds, g.past.ptrKey, d)
	query := q.ptrQuery[r*d : (r+1)*d]
	for j, v := range ds {
		axpy(g.dPtrKey[j*d:(j+1)*d], v, query)
	}
}

// blockBack takes dOut, the gradient of layer i's output rows, to the gradient of its input, again in dOut.
func (g *grads) blockBack(m *Model, i int) {
	w, gw, b, mem, q := &m.w.layers[i], &g.w.layers[i], &g.pass.blocks[i], &g.past.layers[i], &g.pass
	d, hidden, n, rows := m.Dim, m.Hidden, q.to, q.to-b.low

	dUp := grow(&g.dUp, rows*hidden)
	rowsMatVec(dUp, w.down, g.dOut, hidden, d)
	for j, v := range b.up {
		if v == 0 {
			dUp[j] = 0
		}
	}
	outer(gw.down, b.up, hidden, g.dOut, d)
	dNormed := grow(&g.dNormed, rows*d)
	rowsMatVec(dNormed, w.up, dUp, d, hidden)
	outer(gw.up, b.normed, d, dUp, hidden)
	dMid := grow(&g.dMid, rows*d)
	copy(dMid, g.dOut)
	for r := range rows {
		s, e := r*d, (r+1)*d
		rmsnormBack(dMid[s:e], gw.norm2, dNormed[s:e], b.mid[s:e], w.norm2, b.inv2[r])
	}

	dMix := grow(&g.dMix, rows*d)
	rowsMatVec(dMix, w.out, dMid, d, d)
	outer(gw.out, b.mix, d, dMid, d)
	g.attendBack(m, mem, b)

	dConv := grow(&g.dConv, n*d)
	rowsMatVec(dConv[b.low*d:], w.query, g.dQuery, d, d)
	rowsMatVec(dConv, w.key, g.dKey, d, d)
	rowsMatVec(dConv, w.value, g.dValue, d, d)
	outer(gw.query, b.conv[b.low*d:], d, g.dQuery, d)
	outer(gw.key, b.conv, d, g.dKey, d)
	outer(gw.value, b.conv, d, g.dValue, d)
	if i == m.Layers-1 {
		rowsMatVec(dConv, m.w.ptrK, g.dPtrKey, d, d)
	}

	dIn := grow(&g.dIn, n*d)
	copy(dIn[b.low*d:], dMid)
	g.convolveBack(m, w, gw, b, mem)
	g.dOut, g.dIn = g.dIn, g.dOut
}

// rowsMatVec adds x*Wᵀ to y, row by row.
func rowsMatVec(y, w, x []float32, ny, nx int) {
	for r := range len(y) / ny {
		matVec(y[r*ny:(r+1)*ny], w, x[r*nx:(r+1)*nx])
	}
}

// attendBack takes dMix to dQuery, dKey and dValue.
func (g *grads) attendBack(m *Model, mem *memory, b *block) {
	d, hd, to := m.Dim, m.Dim/m.Heads, g.pass.to
	rows := to - b.low
	scale := 1 / float32(math.Sqrt(float64(hd)))
	dQuery, dKey, dValue := grow(&g.dQuery, rows*d), grow(&g.dKey, to*d), grow(&g.dValue, to*d)
	for r := range rows {
		t := b.low + r
		for h := range m.Heads {
			at := h * hd
			prob := b.prob[(r*m.Heads+h)*to:][:t+1]
			dm, qr := g.dMix[r*d+at:][:hd], b.query[r*d+at:][:hd]
			ds := grow(&g.dScore, t+1)
			scores(ds, dm, mem.value[at:], d)
			mean := dot(prob, ds)
			for j, a := range prob {
				axpy(dValue[j*d+at:][:hd], a, dm)
				ds[j] = float32(float32(a*(ds[j]-mean)) * scale)
				axpy(dKey[j*d+at:][:hd], ds[j], qr)
			}
			weigh(dQuery[r*d+at:][:hd], ds, mem.key[at:], d)
		}
	}
}

// convolveBack takes dConv through the convolution and the first norm, and adds it to dIn.
func (g *grads) convolveBack(m *Model, w, gw *layer, b *block, mem *memory) {
	d, n := m.Dim, g.pass.to
	row := grow(&g.dRow, d)
	for t := range n {
		clear(row)
		for k := range taps { // conv row t+k saw this row through tap k
			if t+k >= n {
				break
			}
			dc := g.dConv[(t+k)*d : (t+k+1)*d]
			addProduct(row, w.conv[k*d:], dc)
			addProduct(gw.conv[k*d:(k+1)*d], mem.normed[t*d:], dc)
		}
		s, e := t*d, (t+1)*d
		rmsnormBack(g.dIn[s:e], gw.norm1, row, b.in[s:e], w.norm1, b.inv1[t])
	}
}
