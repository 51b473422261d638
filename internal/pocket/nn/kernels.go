package nn

import "math"

// Every product below is rounded by an explicit float32(...) before it is added: the language then forbids a
// fused multiply-add, so the same numbers come out on every architecture and GOAMD64 level.

// dot is the inner product of two vectors of equal length.
func dot(a, b []float32) float32 {
	b = b[:len(a)]
	var s0, s1, s2, s3 float32
	i := 0
	for ; i+4 <= len(a); i += 4 {
		s0 += float32(a[i] * b[i])
		s1 += float32(a[i+1] * b[i+1])
		s2 += float32(a[i+2] * b[i+2])
		s3 += float32(a[i+3] * b[i+3])
	}
	for ; i < len(a); i++ {
		s0 += float32(a[i] * b[i])
	}
	return (s0 + s1) + (s2 + s3)
}

// dot4 is four inner products of x with rows of equal length: four independent chains keep the adder busy.
func dot4(x, w0, w1, w2, w3 []float32) (s0, s1, s2, s3 float32) {
	n := len(x)
	w0, w1, w2, w3 = w0[:n], w1[:n], w2[:n], w3[:n]
	for i, v := range x {
		s0 += float32(v * w0[i])
		s1 += float32(v * w1[i])
		s2 += float32(v * w2[i])
		s3 += float32(v * w3[i])
	}
	return s0, s1, s2, s3
}

// axpy adds a*x to y.
func axpy(y []float32, a float32, x []float32) {
	x = x[:len(y)]
	for i := range y {
		y[i] += float32(a * x[i])
	}
}

// axpy4 adds a0*x0 + a1*x1 + a2*x2 + a3*x3 to y: y is loaded and stored once for four rows.
func axpy4(y []float32, a0, a1, a2, a3 float32, x0, x1, x2, x3 []float32) {
	n := len(y)
	x0, x1, x2, x3 = x0[:n], x1[:n], x2[:n], x3[:n]
	for i := range y {
		y[i] += (float32(a0*x0[i]) + float32(a1*x1[i])) + (float32(a2*x2[i]) + float32(a3*x3[i]))
	}
}

// axpy4x2 is axpy4 into two rows at once: the four vectors are loaded once for both.
func axpy4x2(y, z []float32, a0, a1, a2, a3, b0, b1, b2, b3 float32, x0, x1, x2, x3 []float32) {
	n := len(y)
	z, x0, x1, x2, x3 = z[:n], x0[:n], x1[:n], x2[:n], x3[:n]
	for i := range y {
		v0, v1, v2, v3 := x0[i], x1[i], x2[i], x3[i]
		y[i] += (float32(a0*v0) + float32(a1*v1)) + (float32(a2*v2) + float32(a3*v3))
		z[i] += (float32(b0*v0) + float32(b1*v1)) + (float32(b2*v2) + float32(b3*v3))
	}
}

// vecMat adds x*W to y; W has len(x) rows of len(y).
func vecMat(y, x, w []float32) {
	n := len(y)
	i := 0
	for ; i+4 <= len(x); i += 4 {
		r := w[i*n : (i+4)*n]
		axpy4(y, x[i], x[i+1], x[i+2], x[i+3], r[:n], r[n:2*n], r[2*n:3*n], r[3*n:])
	}
	for ; i < len(x); i++ {
		axpy(y, x[i], w[i*n:(i+1)*n])
	}
}

// vecMat2 is vecMat for two rows; each comes out as vecMat would make it, to the bit.
func vecMat2(y, z, x, u, w []float32) {
	n := len(y)
	i := 0
	for ; i+4 <= len(x); i += 4 {
		r := w[i*n : (i+4)*n]
		axpy4x2(y, z, x[i], x[i+1], x[i+2], x[i+3], u[i], u[i+1], u[i+2], u[i+3], r[:n], r[n:2*n], r[2*n:3*n], r[3*n:])
	}
	for ; i < len(x); i++ {
		axpy(y, x[i], w[i*n:(i+1)*n])
		axpy(z, u[i], w[i*n:(i+1)*n])
	}
}

// matVec adds W*x to y; W has len(y) rows of len(x).
func matVec(y, w, x []float32) {
	n := len(x)
	i := 0
	for ; i+4 <= len(y); i += 4 {
		r := w[i*n : (i+4)*n]
		s0, s1, s2, s3 := dot4(x, r[:n], r[n:2*n], r[2*n:3*n], r[3*n:])
		y[i] += s0
		y[i+1] += s1
		y[i+2] += s2
		y[i+3] += s3
	}
	for ; i < len(y); i++ {
		y[i] += dot(w[i*n:(i+1)*n], x)
	}
}

// outer adds xᵀ*y to w, over rows: w has nx rows of ny. This is a weight's gradient.
func outer(w []float32, x []float32, nx int, y []float32, ny int) {
	rows := len(x) / nx
	r := 0
	for ; r+4 <= rows; r += 4 {
		outer4(w, x[r*nx:(r+4)*nx], nx, y[r*ny:(r+4)*ny], ny)
	}
	for ; r < rows; r++ {
		yr := y[r*ny : (r+1)*ny]
		for i, v := range x[r*nx : (r+1)*nx] {
			if v != 0 {
				axpy(w[i*ny:(i+1)*ny], v, yr)
			}
		}
	}
}

// outer4 is outer for four rows.
func outer4(w []float32, x []float32, nx int, y []float32, ny int) {
	x0, x1, x2, x3 := x[:nx], x[nx:2*nx], x[2*nx:3*nx], x[3*nx:]
	y0, y1, y2, y3 := y[:ny], y[ny:2*ny], y[2*ny:3*ny], y[3*ny:]
	i := 0
	for ; i+2 <= nx; i += 2 {
		v := w[i*ny : (i+2)*ny]
		axpy4x2(v[:ny], v[ny:], x0[i], x1[i], x2[i], x3[i], x0[i+1], x1[i+1], x2[i+1], x3[i+1], y0, y1, y2, y3)
	}
	for ; i < nx; i++ {
		axpy4(w[i*ny:(i+1)*ny], x0[i], x1[i], x2[i], x3[i], y0, y1, y2, y3)
	}
}

const (
	log2e = 1.44269504088896341
	ln2Hi = 0.693359375
	ln2Lo = -2.12194440e-4
)

// exp32 is e**x for x <= 0 to single precision (Cephes' polynomial); math.Exp is slower and, on amd64, has
// last bits that depend on the processor.
func exp32(x float32) float32 {
	if x < -87 {
		return 0
	}
	k := float32(int32(float32(x*log2e) - 0.5)) // towards zero, so to the nearest
	x -= float32(k * ln2Hi)
	x -= float32(k * ln2Lo)
	p := float32(1.9875691500e-4*x) + 1.3981999507e-3
	p = float32(p*x) + 8.3334519073e-3
	p = float32(p*x) + 4.1665795894e-2
	p = float32(p*x) + 1.6666665459e-1
	p = float32(p*x) + 5.0000001201e-1
	p = float32(float32(p*x)*x) + x + 1
	return p * math.Float32frombits(uint32(int32(k)+127)<<23)
}

// softmax turns scores into probabilities in place.
func softmax(s []float32) {
	top := s[0]
	for _, v := range s[1:] {
		top = max(top, v)
	}
	var sum float32
	for i, v := range s {
		e := exp32(v - top)
		s[i] = e
		sum += e
	}
	scale := 1 / sum
	for i := range s {
		s[i] *= scale
	}
}

// sigmoid is 1/(1+e**-x).
func sigmoid(x float32) float32 {
	if x >= 0 {
		return 1 / (1 + exp32(-x))
	}
	e := exp32(x)
	return e / (1 + e)
}

// rmsnorm writes x / rms(x) * gain to y and returns 1 / rms(x).
func rmsnorm(y, x, gain []float32) float32 {
	mean := dot(x, x) / float32(len(x))
	inv := 1 / float32(math.Sqrt(float64(mean+1e-5)))
	for i := range y {
		y[i] = float32(float32(x[i]*inv) * gain[i])
	}
	return inv
}

// rmsnormBack adds the gradient of rmsnorm to dx and dgain.
func rmsnormBack(dx, dgain, dy, x, gain []float32, inv float32) {
	var s float32
	for i, d := range dy {
		n := float32(x[i] * inv)
		dgain[i] += float32(d * n)
		s += float32(float32(d*gain[i]) * n)
	}
	s /= float32(len(x))
	for i, d := range dy {
		n := float32(x[i] * inv)
		dx[i] += float32(inv * (float32(d*gain[i]) - float32(n*s)))
	}
}
