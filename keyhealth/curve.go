package keyhealth

import (
	"crypto/elliptic"
	"math/big"
	"slices"
)

// checkEC holds a point against the equation of its curve. All these curves have
// a prime order, so that every point on them is a sound one.
func checkEC(crv string, x, y []byte) []Weakness {
	var p, a, b *big.Int
	switch crv {
	case "P-256", "P-384", "P-521":
		c := map[string]elliptic.Curve{"P-256": elliptic.P256(), "P-384": elliptic.P384(), "P-521": elliptic.P521()}[crv].Params()
		p, a, b = c.P, big.NewInt(-3), c.B
	case "secp256k1":
		p, a, b = less(new(big.Int).Lsh(big.NewInt(1), 256), 1<<32+977), new(big.Int), big.NewInt(7)
	default:
		return nil
	}
	px, py := new(big.Int).SetBytes(x), new(big.Int).SetBytes(y)
	if px.Cmp(p) < 0 && py.Cmp(p) < 0 {
		r := new(big.Int).Mul(px, px)
		r.Add(r, a)
		r.Mul(r, px).Add(r, b)
		py.Mul(py, py).Sub(py, r)
		if py.Mod(py, p).Sign() == 0 {
			return nil
		}
	}
	return []Weakness{{ECOffCurve, High}}
}

// checkOKP finds points of small order, under which anyone signs or agrees, and
// octets that are no point at all.
func checkOKP(crv string, x []byte) []Weakness {
	switch crv {
	case "Ed25519":
		return checkEd25519(x)
	case "X25519":
		p := field25519()
		u := little(x, 255)
		if u.Mod(u, p); anyOf(u, p, lowX25519()...) {
			return []Weakness{{OKPLowOrder, Critical}}
		}
	case "X448":
		p := field448()
		u := little(x, 448)
		if u.Mod(u, p); anyOf(u, p) {
			return []Weakness{{OKPLowOrder, Critical}}
		}
	case "Ed448":
		if len(x) != 57 || x[56]&0x7f != 0 {
			return []Weakness{{ECOffCurve, High}}
		}
		p := field448()
		y := little(x, 448)
		if y.Mod(y, p); anyOf(y, p) { // orders one, two and four: the cofactor is four
			return []Weakness{{OKPLowOrder, Critical}}
		}
	}
	return nil
}

// checkEd25519 works on the y of RFC 8032 section 5.1.3, which tells a point up
// to its sign. Encodings that are not canonical are reduced, as lax verifiers do.
func checkEd25519(x []byte) []Weakness {
	p := field25519()
	y := little(x, 255)
	y.Mod(y, p)
	if anyOf(y, p, orderEight25519(p)...) {
		return []Weakness{{OKPLowOrder, Critical}}
	}
	// x² = (y² - 1) / (d y² + 1) must be a square: u·v is one just when u/v is.
	one := big.NewInt(1)
	y.Mul(y, y)
	u := new(big.Int).Sub(y, one)
	v := new(big.Int).Mul(edwardsD(p), y)
	v.Add(v, one)
	if u.Mul(u, v).Mod(u, p); u.Sign() != 0 && big.Jacobi(u, p) != 1 {
		return []Weakness{{ECOffCurve, High}}
	}
	return nil
}

// anyOf reports whether v is 0, 1 or -1 modulo p, which are of small order on all
// of these curves, or one of the others.
func anyOf(v, p *big.Int, others ...*big.Int) bool {
	return v.BitLen() <= 1 || v.Cmp(less(p, 1)) == 0 ||
		slices.ContainsFunc(others, func(o *big.Int) bool { return v.Cmp(o) == 0 })
}

func field25519() *big.Int { return less(new(big.Int).Lsh(big.NewInt(1), 255), 19) }

func field448() *big.Int {
	p := less(new(big.Int).Lsh(big.NewInt(1), 448), 1)
	return p.Sub(p, new(big.Int).Lsh(big.NewInt(1), 224))
}

// edwardsD is -121665/121666 modulo p.
func edwardsD(p *big.Int) *big.Int {
	d := new(big.Int).ModInverse(big.NewInt(121666), p)
	d.Mul(d, big.NewInt(-121665))
	return d.Mod(d, p)
}

// orderEight25519 are the two y of the points of order eight of edwards25519.
func orderEight25519(p *big.Int) []*big.Int {
	y := number("7a03ac9277fdc74ec6cc392cfa53202a0f67100d760b3cba4fd84d3d706a17c7")
	return []*big.Int{y, new(big.Int).Sub(p, y)}
}

// lowX25519 are the two u of order eight of Curve25519 (RFC 7748, section 6.1).
func lowX25519() []*big.Int {
	return []*big.Int{
		number("00b8495f16056286fdb1329ceb8d09da6ac49ff1fae35616aeb8413b7c7aebe0"),
		number("57119fd0dd4e22d8868e1c58c45c44045bef839c55b1d0b1248c50a3bc959c5f"),
	}
}

func number(hex string) *big.Int {
	n, _ := new(big.Int).SetString(hex, 16)
	return n
}

// little reads the lowest bits of octets in little-endian order.
func little(octets []byte, bits uint) *big.Int {
	b := slices.Clone(octets)
	slices.Reverse(b)
	n := new(big.Int).SetBytes(b)
	return n.And(n, less(new(big.Int).Lsh(big.NewInt(1), bits), 1))
}

func less(n *big.Int, by int64) *big.Int { return new(big.Int).Sub(n, big.NewInt(by)) }
