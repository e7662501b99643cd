package lab

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"fmt"
	"math/big"
)

// NewRSA makes an RSA key for RS256 with e = 65537. Sizes below 1024 bits, down
// to 128, are for tests of weak keys and have no Signer. It panics on a smaller
// size. 2048 bits take a good part of a second on a small machine: tests that
// do not ask about RSA use NewEC.
func NewRSA(kid string, bits int) Key {
	return Key{Kid: kid, Alg: "RS256", Use: "sig", material: newRSA(bits)}
}

// NewEC makes an ECDSA key on P-256, P-384 or P-521, for ES256, ES384 or ES512.
// It panics on another curve.
func NewEC(kid, crv string) Key { return ECFromSeed(kid, crv, "") }

// ECFromSeed is NewEC with material that depends on crv and seed alone; the kid
// is only a label. An empty seed means random material.
func ECFromSeed(kid, crv, seed string) Key {
	alg := map[string]string{"P-256": "ES256", "P-384": "ES384", "P-521": "ES512"}[crv]
	return Key{Kid: kid, Alg: alg, Use: "sig", material: newEC(crv, seed)}
}

// NewEd25519 makes an Ed25519 key for EdDSA (RFC 8037).
func NewEd25519(kid string) Key { return Ed25519FromSeed(kid, "") }

// Ed25519FromSeed is NewEd25519 with material that depends on seed alone. An
// empty seed means random material.
func Ed25519FromSeed(kid, seed string) Key {
	return Key{Kid: kid, Alg: "EdDSA", Use: "sig", material: newEd25519(seed)}
}

// NewOct makes a symmetric key of 256 bits for HS256. Its public entry is kty
// alone: the whole of an oct key is secret.
func NewOct(kid string) Key {
	return Key{Kid: kid, Alg: "HS256", Use: "sig", material: newOct("")}
}

// next is new material of the same kind.
func (m *material) next() *material {
	seed := m.seed
	if seed != "" {
		seed += "/next"
	}
	switch m.kty {
	case "RSA":
		return newRSA(m.bits)
	case "EC":
		return newEC(m.crv, seed)
	case "OKP":
		return newEd25519(seed)
	default:
		return newOct(seed)
	}
}

// expand makes n octets of a seed, or n random ones. Key generators of the
// standard library ignore a custom source of randomness since Go 1.26, so the
// scalars are derived here.
func expand(seed, purpose string, n int) []byte {
	if seed == "" {
		octets := make([]byte, n)
		_, _ = rand.Read(octets) // never fails: it ends the process instead
		return octets
	}
	octets, err := hkdf.Key(sha256.New, []byte(seed), nil, "jwkswatch lab "+purpose, n)
	if err != nil {
		panic("lab: expanding a seed: " + err.Error()) // n is a constant far below the limit
	}
	return octets
}

func newEC(crv, seed string) *material {
	var curve elliptic.Curve
	switch crv {
	case "P-256":
		curve = elliptic.P256()
	case "P-384":
		curve = elliptic.P384()
	case "P-521":
		curve = elliptic.P521()
	default:
		panic(fmt.Sprintf("lab: unknown curve %q", crv))
	}
	// 128 bits more than the order, reduced to 1…n-1: FIPS 186-5, A.2.1.
	bits := curve.Params().BitSize
	size := (bits + 7) / 8
	limit := new(big.Int).Sub(curve.Params().N, big.NewInt(1))
	d := new(big.Int).SetBytes(expand(seed, crv, size+16))
	d.Mod(d, limit).Add(d, big.NewInt(1))
	key, err := ecdsa.ParseRawPrivateKey(curve, d.FillBytes(make([]byte, size)))
	if err != nil {
		panic("lab: making an EC key: " + err.Error()) // d is in range
	}
	point, err := key.PublicKey.Bytes() // 0x04, x, y
	if err != nil {
		panic("lab: encoding an EC key: " + err.Error())
	}
	return &material{
		kty: "EC", crv: crv, bits: bits, seed: seed, signer: key,
		public:  map[string]string{"x": b64(point[1 : 1+size]), "y": b64(point[1+size:])},
		private: map[string]string{"d": b64(d.FillBytes(make([]byte, size)))},
	}
}

func newEd25519(seed string) *material {
	key := ed25519.NewKeyFromSeed(expand(seed, "Ed25519", ed25519.SeedSize))
	return &material{
		kty: "OKP", crv: "Ed25519", bits: 255, seed: seed, signer: key,
		public:  map[string]string{"x": b64(key[ed25519.SeedSize:])},
		private: map[string]string{"d": b64(key.Seed())},
	}
}

func newOct(seed string) *material {
	secret := expand(seed, "oct", 32)
	return &material{
		kty: "oct", bits: 256, seed: seed,
		private: map[string]string{"k": b64(secret)},
	}
}

func newRSA(bits int) *material {
	const exponent = 65537
	m := &material{kty: "RSA", bits: bits}
	var p, q *big.Int
	switch {
	case bits < 128:
		panic(fmt.Sprintf("lab: an RSA key of %d bits is too small", bits))
	case bits < 1024: // crypto/rsa refuses to make these
		p, q = smallPrimes(bits, exponent)
	default:
		key, err := rsa.GenerateKey(rand.Reader, bits)
		if err != nil {
			panic("lab: making an RSA key: " + err.Error()) // bits is large enough
		}
		m.signer, p, q = key, key.Primes[0], key.Primes[1]
	}
	one, e := big.NewInt(1), big.NewInt(exponent)
	p1, q1 := new(big.Int).Sub(p, one), new(big.Int).Sub(q, one)
	// d modulo lcm(p-1, q-1), as crypto/rsa and FIPS 186-5 have it.
	lambda := new(big.Int).Mul(p1, q1)
	lambda.Div(lambda, new(big.Int).GCD(nil, nil, p1, q1))
	d := new(big.Int).ModInverse(e, lambda)
	m.public = map[string]string{"n": b64(new(big.Int).Mul(p, q).Bytes()), "e": b64(e.Bytes())}
	m.private = map[string]string{
		"d":  b64(d.Bytes()),
		"p":  b64(p.Bytes()),
		"q":  b64(q.Bytes()),
		"dp": b64(new(big.Int).Mod(d, p1).Bytes()),
		"dq": b64(new(big.Int).Mod(d, q1).Bytes()),
		"qi": b64(new(big.Int).ModInverse(q, p).Bytes()),
	}
	return m
}

// smallPrimes finds two primes whose product has exactly the given bits.
func smallPrimes(bits int, exponent int64) (p, q *big.Int) {
	prime := func(bits int) *big.Int {
		for {
			p, err := rand.Prime(rand.Reader, bits)
			if err != nil {
				panic("lab: looking for a prime: " + err.Error()) // bits is at least 64
			}
			// p-1 must be prime to e, or e has no inverse.
			if new(big.Int).Mod(p, big.NewInt(exponent)).Int64() != 1 {
				return p
			}
		}
	}
	for {
		p, q = prime(bits-bits/2), prime(bits/2)
		if p.Cmp(q) != 0 && new(big.Int).Mul(p, q).BitLen() == bits {
			return p, q
		}
	}
}
