package keyhealth_test

import (
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/hex"
	"math/big"
	"slices"
	"testing"
	"time"

	"github.com/jwkswatch/jwkswatch/jwks"
	"github.com/jwkswatch/jwkswatch/keyhealth"
)

func rsaOf(n *big.Int) jwks.Public {
	return jwks.Public{Kty: "RSA", N: n, E: big.NewInt(65537)}
}

func prime(t testing.TB, bits int) *big.Int {
	t.Helper()
	p, err := rand.Prime(rand.Reader, bits)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func mul(list ...*big.Int) *big.Int {
	n := big.NewInt(1)
	for _, f := range list {
		n.Mul(n, f)
	}
	return n
}

// next is the first prime after n + gap.
func next(n *big.Int, gap *big.Int) *big.Int {
	p := new(big.Int).Add(n, gap)
	p.SetBit(p, 0, 1)
	for !p.ProbablyPrime(10) {
		p.Add(p, big.NewInt(2))
	}
	return p
}

func wantCodes(t *testing.T, p jwks.Public, want ...string) {
	t.Helper()
	if got := keyhealth.Codes(keyhealth.Check(p)); !slices.Equal(got, slices.Concat([]string{}, want)) {
		t.Errorf("codes %q, want %q", got, want)
	}
}

// TestBrokenRSA makes each broken key for real.
func TestBrokenRSA(t *testing.T) {
	p, q := prime(t, 512), prime(t, 512)
	t.Run("healthy", func(t *testing.T) { wantCodes(t, rsaOf(mul(p, q))) })
	t.Run("even", func(t *testing.T) { wantCodes(t, rsaOf(mul(p, big.NewInt(2))), "rsa_even") })
	t.Run("three", func(t *testing.T) { wantCodes(t, rsaOf(mul(p, big.NewInt(3))), "rsa_small_factor") })
	t.Run("65521", func(t *testing.T) { // the last prime below 2¹⁶
		wantCodes(t, rsaOf(mul(p, q, big.NewInt(65521))), "rsa_small_factor")
	})
	t.Run("65537", func(t *testing.T) { wantCodes(t, rsaOf(mul(p, q, big.NewInt(65537)))) })
	t.Run("prime", func(t *testing.T) { wantCodes(t, rsaOf(prime(t, 1024)), "rsa_prime") })
	t.Run("square", func(t *testing.T) { wantCodes(t, rsaOf(mul(p, p)), "rsa_perfect_power") })
	t.Run("cube", func(t *testing.T) { wantCodes(t, rsaOf(mul(p, p, p)), "rsa_perfect_power") })
	t.Run("eleventh power", func(t *testing.T) {
		r := prime(t, 128)
		wantCodes(t, rsaOf(new(big.Int).Exp(r, big.NewInt(11), nil)), "rsa_perfect_power")
	})
	t.Run("next prime", func(t *testing.T) { wantCodes(t, rsaOf(mul(p, next(p, big.NewInt(2)))), "rsa_close_primes") })
	t.Run("near", func(t *testing.T) {
		// Round k sees a = ceil(√n)+k; a difference Δ of the primes needs Δ²/(8√n) rounds.
		rounds := func(k int64) *big.Int {
			d := new(big.Int).Mul(p, big.NewInt(8*k))
			return d.Sqrt(d)
		}
		wantCodes(t, rsaOf(mul(p, next(p, rounds(120)))), "rsa_close_primes")
		wantCodes(t, rsaOf(mul(p, next(p, rounds(140)))))
	})
	t.Run("roca", func(t *testing.T) {
		wantCodes(t, rsaOf(mul(rocaPrime(t, 512), rocaPrime(t, 512))), "rsa_roca")
		wantCodes(t, rsaOf(mul(rocaPrime(t, 512), q)))
	})
}

// rocaPrime makes a prime as the flawed library did: k·M + (65537^a mod M) with M
// the product of the first 39 primes.
func rocaPrime(t *testing.T, bits int) *big.Int {
	t.Helper()
	m := big.NewInt(2)
	for f := int64(3); f <= 167; f += 2 {
		if big.NewInt(f).ProbablyPrime(10) {
			m.Mul(m, big.NewInt(f))
		}
	}
	for {
		k, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), uint(bits-m.BitLen())))
		if err != nil {
			t.Fatal(err)
		}
		a, err := rand.Int(rand.Reader, m)
		if err != nil {
			t.Fatal(err)
		}
		p := new(big.Int).Exp(big.NewInt(65537), a, m)
		if p.Add(p, k.Mul(k, m)); p.BitLen() == bits && p.ProbablyPrime(10) {
			return p
		}
	}
}

func TestExponents(t *testing.T) {
	n := mul(prime(t, 512), prime(t, 512))
	power := func(k uint) *big.Int { return new(big.Int).Lsh(big.NewInt(1), k) }
	add := func(n *big.Int, k int64) *big.Int { return new(big.Int).Add(n, big.NewInt(k)) }
	for _, tt := range []struct {
		e    *big.Int
		want keyhealth.Grade
	}{
		{big.NewInt(1), keyhealth.Critical},
		{big.NewInt(2), keyhealth.High},
		{big.NewInt(65536), keyhealth.High},
		{n, keyhealth.High},
		{big.NewInt(3), keyhealth.Low},
		{big.NewInt(35), keyhealth.Low},
		{big.NewInt(65535), keyhealth.Low},
		{big.NewInt(65537), 0},
		{add(power(32), -1), 0},
		{add(power(32), 1), keyhealth.Low},
	} {
		got := keyhealth.Check(jwks.Public{Kty: "RSA", N: n, E: tt.e})
		if tt.want == 0 && len(got) > 0 || tt.want != 0 && !slices.Equal(got, []keyhealth.Weakness{{Code: "rsa_exponent", Grade: tt.want}}) {
			t.Errorf("e = %v: %v, want %v", tt.e, got, tt.want)
		}
	}
}

func TestLengths(t *testing.T) {
	for bits, want := range map[int]keyhealth.Grade{
		512: keyhealth.Critical, 1023: keyhealth.Critical, 1024: keyhealth.High, 1535: keyhealth.High,
		1536: keyhealth.Medium, 2047: keyhealth.Medium, 2048: 0, 16384: 0,
	} {
		if got := keyhealth.RSALength(bits); got != want {
			t.Errorf("%d bits: %v, want %v", bits, got, want)
		}
	}
}

// TestHealthyKeys makes good keys of every size: none may be told of.
func TestHealthyKeys(t *testing.T) {
	for _, bits := range []int{512, 1024, 2048, 3072, 4096} {
		if testing.Short() && bits > 2048 {
			continue
		}
		wantCodes(t, rsaOf(mul(prime(t, bits/2), prime(t, bits/2))))
	}
	for crv, c := range map[string]elliptic.Curve{"P-256": elliptic.P256(), "P-384": elliptic.P384(), "P-521": elliptic.P521()} {
		for range 8 {
			x, y := point(t, c)
			wantCodes(t, jwks.Public{Kty: "EC", Crv: crv, X: x, Y: y})
			y[len(y)-1] ^= 1
			wantCodes(t, jwks.Public{Kty: "EC", Crv: crv, X: x, Y: y}, "ec_off_curve")
		}
	}
	gx, _ := hex.DecodeString("79be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798")
	gy, _ := hex.DecodeString("483ada7726a3c4655da4fbfc0e1108a8fd17b448a68554199c47d08ffb10d4b8")
	wantCodes(t, jwks.Public{Kty: "EC", Crv: "secp256k1", X: gx, Y: gy})
	wantCodes(t, jwks.Public{Kty: "EC", Crv: "secp256k1", X: gy, Y: gx}, "ec_off_curve")
	for range 64 {
		pub, _, err := ed25519.GenerateKey(rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		wantCodes(t, jwks.Public{Kty: "OKP", Crv: "Ed25519", X: pub})
		k, err := ecdh.X25519().GenerateKey(rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		wantCodes(t, jwks.Public{Kty: "OKP", Crv: "X25519", X: k.PublicKey().Bytes()})
	}
}

func point(t *testing.T, c elliptic.Curve) (x, y []byte) {
	t.Helper()
	k, err := ecdsa.GenerateKey(c, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	b, err := k.PublicKey.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	size := len(b) / 2
	return b[1 : 1+size], b[1+size:]
}

// A coordinate beyond the field is another writing of a point that verifiers
// refuse or reduce.
func TestCoordinateBeyondTheField(t *testing.T) {
	p := elliptic.P256().Params()
	x, y := p.Gx.Bytes(), new(big.Int).Add(p.Gy, p.P)
	if y.BitLen() > 256 {
		y = new(big.Int).Add(p.P, big.NewInt(5))
		x = p.P.Bytes()
	}
	wantCodes(t, jwks.Public{Kty: "EC", Crv: "P-256", X: x, Y: y.Bytes()}, "ec_off_curve")
}

// TestPointsOfSmallOrder multiplies each listed point by the cofactor: the list is
// right when that is the neutral element.
func TestPointsOfSmallOrder(t *testing.T) {
	var sound int
	for _, h := range []string{
		"0100000000000000000000000000000000000000000000000000000000000000",
		"ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
		"0000000000000000000000000000000000000000000000000000000000000000",
		"0000000000000000000000000000000000000000000000000000000000000080",
		"c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
		"c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa",
		"26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
		"26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85",
		"eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f", // 1, not canonical
	} {
		x, _ := hex.DecodeString(h)
		wantCodes(t, jwks.Public{Kty: "OKP", Crv: "Ed25519", X: x}, "okp_low_order")
		if edwardsOrderDividesEight(t, x) {
			sound++
		}
	}
	if sound != 9 {
		t.Errorf("%d of 9 are of small order", sound)
	}
	base, _ := hex.DecodeString("5866666666666666666666666666666666666666666666666666666666666666")
	wantCodes(t, jwks.Public{Kty: "OKP", Crv: "Ed25519", X: base})
	if edwardsOrderDividesEight(t, base) {
		t.Error("the base point is of small order, says the test")
	}
	two := make([]byte, 32)
	two[0] = 2 // no x belongs to this y
	wantCodes(t, jwks.Public{Kty: "OKP", Crv: "Ed25519", X: two}, "ec_off_curve")
	for crv, size := range map[string]int{"X448": 56, "Ed448": 57} {
		wantCodes(t, jwks.Public{Kty: "OKP", Crv: crv, X: make([]byte, size)}, "okp_low_order")
		five := make([]byte, size)
		five[0] = 5
		wantCodes(t, jwks.Public{Kty: "OKP", Crv: crv, X: five})
	}
}

// The standard library refuses a secret agreed under a point of small order.
func TestLowOrderX25519(t *testing.T) {
	k, err := ecdh.X25519().GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	for _, h := range []string{
		"0000000000000000000000000000000000000000000000000000000000000000",
		"0100000000000000000000000000000000000000000000000000000000000000",
		"e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
		"5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
		"ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
	} {
		u, _ := hex.DecodeString(h)
		pub, err := ecdh.X25519().NewPublicKey(u)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := k.ECDH(pub); err == nil {
			t.Errorf("%s is not of small order", h)
		}
		wantCodes(t, jwks.Public{Kty: "OKP", Crv: "X25519", X: u}, "okp_low_order")
	}
}

// edwardsOrderDividesEight doubles the point three times.
func edwardsOrderDividesEight(t *testing.T, enc []byte) bool {
	t.Helper()
	p := new(big.Int).Sub(new(big.Int).Lsh(big.NewInt(1), 255), big.NewInt(19))
	d := new(big.Int).ModInverse(big.NewInt(121666), p)
	d.Mul(d, big.NewInt(-121665)).Mod(d, p)
	b := slices.Clone(enc)
	slices.Reverse(b)
	b[0] &= 0x7f
	y := new(big.Int).SetBytes(b)
	y.Mod(y, p)
	yy := new(big.Int).Mul(y, y)
	u := new(big.Int).Sub(yy, big.NewInt(1))
	v := new(big.Int).Mul(d, yy)
	v.Add(v, big.NewInt(1)).ModInverse(v, p)
	x := new(big.Int).ModSqrt(u.Mul(u, v).Mod(u, p), p)
	if x == nil {
		t.Fatalf("%x is no point", enc)
	}
	for range 3 { // (x, y) + (x, y), RFC 8032 section 5.1.4 in affine form
		k := mul(d, x, x, y, y)
		nx, ny := mul(big.NewInt(2), x, y), new(big.Int).Add(mul(x, x), mul(y, y))
		up := new(big.Int).Add(big.NewInt(1), k)
		down := new(big.Int).Sub(big.NewInt(1), k)
		x = nx.Mul(nx, up.Mod(up, p).ModInverse(up, p))
		y = ny.Mul(ny, down.Mod(down, p).ModInverse(down, p))
		x.Mod(x, p)
		y.Mod(y, p)
	}
	return x.Sign() == 0 && y.Cmp(big.NewInt(1)) == 0
}

// TestHostileSizes bounds the work of what an issuer may serve within four MiB.
func TestHostileSizes(t *testing.T) {
	odd := func(bits uint) *big.Int { // no small factors by construction: a product of two primes is too slow to make
		n := new(big.Int).Lsh(big.NewInt(1), bits-1)
		r, err := rand.Int(rand.Reader, n)
		if err != nil {
			t.Fatal(err)
		}
		return n.Or(n, r).SetBit(n, 0, 1)
	}
	for _, p := range []jwks.Public{
		rsaOf(odd(16384)),
		rsaOf(odd(16 << 20)),
		{Kty: "RSA", N: odd(2048), E: odd(16 << 20)},
		rsaOf(new(big.Int).Lsh(big.NewInt(1), 16<<20)),
		rsaOf(big.NewInt(1)), rsaOf(big.NewInt(9)), rsaOf(big.NewInt(65537)),
	} {
		start := time.Now()
		keyhealth.Check(p)
		if took := time.Since(start); took > 2*time.Second { // some 10 ms; a shared machine has its moods
			t.Errorf("%d bits take %v", p.N.BitLen(), took)
		}
	}
}

func BenchmarkCheck(b *testing.B) {
	for _, bits := range []int{2048, 4096, 8192} {
		n := mul(prime(b, bits/2), prime(b, bits/2))
		b.Run(map[int]string{2048: "rsa-2048", 4096: "rsa-4096", 8192: "rsa-8192"}[bits], func(b *testing.B) {
			for b.Loop() {
				if len(keyhealth.Check(rsaOf(n))) > 0 {
					b.Fatal("told of a healthy key")
				}
			}
		})
	}
}
