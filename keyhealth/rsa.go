package keyhealth

import (
	"math/big"
	"math/bits"
)

// Bounds of the arithmetic.
const (
	maxPrimality  = 8192  // bits up to which a modulus is tested for primality
	maxArithmetic = 16384 // bits up to which it is computed with at all
	maxSmallPrime = 1 << 16
	fermatRounds  = 128 // CA/Browser Forum Baseline Requirements 6.1.6 ask for 100
)

// checkRSA returns the weaknesses of a modulus and its exponent but for the
// length, which needs no arithmetic and is RSALength's.
func checkRSA(n, e *big.Int) []Weakness {
	var out []Weakness
	if g := exponent(n, e); g > 0 {
		out = append(out, Weakness{RSAExponent, g})
	}
	if n.Bit(0) == 0 {
		out = append(out, Weakness{RSAEven, Critical})
	}
	if n.BitLen() > maxArithmetic {
		return out
	}
	// Of a short number a small factor can be the number itself.
	if smallFactor(n) && n.BitLen() > 17 {
		return append(out, Weakness{RSASmallFactor, Critical}) // whatever else it is: what follows costs most here and tells least
	}
	if roca(n) {
		out = append(out, Weakness{RSAROCA, Critical})
	}
	switch {
	case n.Bit(0) == 0:
	case perfectPower(n):
		out = append(out, Weakness{RSAPerfectPower, Critical})
	case n.BitLen() <= maxPrimality && n.ProbablyPrime(0):
		out = append(out, Weakness{RSAPrime, Critical})
	case closePrimes(n):
		out = append(out, Weakness{RSAClosePrimes, Critical})
	}
	return out
}

// exponent grades a public exponent. With one, a signature is its own message. An
// even one has no inverse, and one that is not below the modulus was never made
// by a generator of keys. The rest is sound and yet to be told: below 65,537
// sloppy padding checks were forged (CVE-2006-4339), and above 32 bits many
// verifiers refuse.
func exponent(n, e *big.Int) Grade {
	switch {
	case e.BitLen() == 1:
		return Critical
	case e.Bit(0) == 0, e.Cmp(n) >= 0:
		return High
	case e.BitLen() <= 16, e.BitLen() > 32:
		return Low
	}
	return 0
}

// smallFactor reports whether an odd prime below maxSmallPrime divides n.
func smallFactor(n *big.Int) bool {
	words := n.Bits()
	product, list := uint(1), make([]uint, 0, 8)
	divides := func() bool {
		r := mod(words, product)
		for _, p := range list {
			if r%p == 0 {
				return true
			}
		}
		return false
	}
	for p := range smallPrimes(maxSmallPrime) {
		if hi, lo := bits.Mul(product, p); hi == 0 {
			product, list = lo, append(list, p)
			continue
		}
		if divides() {
			return true
		}
		product, list = p, append(list[:0], p)
	}
	return divides()
}

// mod is the remainder of a number by a word.
func mod(words []big.Word, m uint) uint {
	var r uint
	for i := len(words) - 1; i >= 0; i-- {
		_, r = bits.Div(r, uint(words[i]), m)
	}
	return r
}

// smallPrimes yields the odd primes below a limit.
func smallPrimes(limit uint) func(yield func(uint) bool) {
	return func(yield func(uint) bool) {
		composite := make([]bool, limit)
		for p := uint(3); p < limit; p += 2 {
			if composite[p] {
				continue
			}
			if !yield(p) {
				return
			}
			for q := p * p; q < limit; q += 2 * p {
				composite[q] = true
			}
		}
	}
}

// closePrimes runs Fermat's factoring for some rounds: it succeeds when the two
// primes share about half of their leading bits. Most differences cannot be
// squares by their remainders, which saves nearly all roots.
func closePrimes(n *big.Int) bool {
	a := new(big.Int).Sqrt(n)
	b := new(big.Int).Mul(a, a)
	if b.Cmp(n) < 0 {
		a.Add(a, big.NewInt(1))
		b.Mul(a, a)
	}
	b.Sub(b, n)                    // a² - n
	step := new(big.Int).Lsh(a, 1) // (a+1)² - a² = 2a + 1
	step.Add(step, big.NewInt(1))  //
	two, root := big.NewInt(2), new(big.Int)
	for range fermatRounds {
		if maybeSquare(b) {
			root.Sqrt(b)
			if root.Mul(root, root).Cmp(b) == 0 {
				return true
			}
		}
		b.Add(b, step)
		step.Add(step, two)
	}
	return false
}

// maybeSquare is false for most numbers that are no square.
func maybeSquare(b *big.Int) bool {
	words := b.Bits()
	if len(words) == 0 {
		return true
	}
	// Of 64 remainders of squares 12 are possible, of 63, 65 and 11 again a
	// quarter to a half.
	const squares64 = 0x0202021202030213
	if squares64>>(uint(words[0])&63)&1 == 0 {
		return false
	}
	r := mod(words, 63*65*11)
	return square(r%63, 63) && square(r%65, 65) && square(r%11, 11)
}

// square reports whether r is the remainder of a square.
func square(r, m uint) bool {
	for x := uint(0); 2*x <= m; x++ {
		if x*x%m == r {
			return true
		}
	}
	return false
}

// perfectPower reports whether n is a power of a whole number. No small prime
// divides n, so that a root has more than 16 bits.
func perfectPower(n *big.Int) bool {
	words := n.Bits()
	top := uint(n.BitLen() / 16)
	if top >= 2 && maybeSquare(n) && isPower(n, 2) {
		return true
	}
	for k := range smallPrimes(top + 1) {
		if maybePower(words, k) && isPower(n, k) {
			return true
		}
	}
	return false
}

// maybePower is false for most numbers that are no k-th power, for k an odd
// prime: modulo a prime p = 1 mod k, only one in k remainders is one.
func maybePower(words []big.Word, k uint) bool {
	tried := 0
	for p := 2*k + 1; tried < 6; p += 2 * k {
		if !isPrime(p) {
			continue
		}
		tried++
		if r := mod(words, p); r != 0 && pow(r, (p-1)/k, p) != 1 {
			return false
		}
	}
	return true
}

func isPrime(p uint) bool {
	for d := uint(3); d*d <= p; d += 2 {
		if p%d == 0 {
			return false
		}
	}
	return p > 2 && p%2 == 1
}

// pow is b to the e modulo m, for m below 2³².
func pow(b, e, m uint) uint {
	r := uint(1)
	for b %= m; e > 0; e >>= 1 {
		if e&1 == 1 {
			r = r * b % m
		}
		b = b * b % m
	}
	return r
}

// isPower takes the k-th root by Newton's iteration from above.
func isPower(n *big.Int, k uint) bool {
	if k == 2 {
		r := new(big.Int).Sqrt(n)
		return r.Mul(r, r).Cmp(n) == 0
	}
	big1, exp := new(big.Int).SetUint64(uint64(k-1)), new(big.Int).SetUint64(uint64(k))
	x := new(big.Int).Lsh(big.NewInt(1), (uint(n.BitLen())+k-1)/k)
	y, t := new(big.Int), new(big.Int)
	for {
		t.Exp(x, big1, nil)
		y.Quo(n, t)
		y.Add(y, t.Mul(x, big1))
		y.Quo(y, exp)
		if y.Cmp(x) >= 0 {
			return t.Exp(x, exp, nil).Cmp(n) == 0
		}
		x, y = y, x
	}
}

// roca recognises the moduli of CVE-2017-15361 (Nemec et al., The Return of
// Coppersmith's Attack): both primes, and so n, are powers of 65537 modulo every
// small prime. By chance one number in 2¹⁵⁰ is.
func roca(n *big.Int) bool {
	if n.BitLen() < 64 {
		return false
	}
	words := n.Bits()
	for p := range smallPrimes(168) {
		r, x := mod(words, p), uint(1)
		for x != r {
			if x = x * 65537 % p; x == 1 {
				return false
			}
		}
	}
	return true
}
