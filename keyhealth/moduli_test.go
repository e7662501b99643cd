package keyhealth_test

import (
	"crypto/rand"
	"math/big"
	"slices"
	"testing"

	"github.com/jwkswatch/jwkswatch/keyhealth"
)

func TestSharedFactor(t *testing.T) {
	var m keyhealth.Moduli
	shared := prime(t, 256)
	first := mul(shared, prime(t, 256))
	if i, got := m.Add(first); i != 0 || got != nil {
		t.Fatalf("the first: %d %v", i, got)
	}
	for range 100 { // more than a batch lies between the two
		if _, got := m.Add(mul(prime(t, 128), prime(t, 128))); got != nil {
			t.Fatalf("strangers match: %v", got)
		}
	}
	second := mul(shared, prime(t, 256))
	i, got := m.Add(second)
	if i != 101 || !slices.Equal(got, []keyhealth.Match{{Index: 0, New: true, Old: true}}) {
		t.Errorf("%d %v", i, got)
	}
	if i, got := m.Add(first); i != 0 || !slices.Equal(got, []keyhealth.Match{{Index: 101, New: true, Old: true}}) {
		t.Errorf("the first once more: %d %v", i, got)
	}
	p, q := prime(t, 256), prime(t, 256)
	m.Add(mul(p, prime(t, 256)))
	m.Add(mul(q, prime(t, 256)))
	if _, got := m.Add(mul(p, q)); len(got) != 2 {
		t.Errorf("both primes stand elsewhere: %v", got)
	}
}

// Who publishes a multiple of another's modulus must not make that one look weak.
func TestMultipleOfAForeignModulus(t *testing.T) {
	var m keyhealth.Moduli
	victim := mul(prime(t, 256), prime(t, 256))
	m.Add(victim)
	if _, got := m.Add(mul(victim, prime(t, 128))); !slices.Equal(got, []keyhealth.Match{{Index: 0, New: true}}) {
		t.Errorf("%v", got)
	}
	var other keyhealth.Moduli
	other.Add(mul(victim, prime(t, 128)))
	if _, got := other.Add(victim); !slices.Equal(got, []keyhealth.Match{{Index: 0, Old: true}}) {
		t.Errorf("%v", got)
	}
}

// Numbers that are no products of two primes share small factors by chance, up to
// 64 bits of them are none.
func TestSmallCommonFactors(t *testing.T) {
	for bits, want := range map[int]int{64: 0, 65: 1} {
		var m keyhealth.Moduli
		f := prime(t, bits)
		m.Load(mul(f, prime(t, 256)))
		if _, got := m.Add(mul(f, prime(t, 256))); len(got) != want {
			t.Errorf("%d bits: %v", bits, got)
		}
	}
}

func TestModuliAreBounded(t *testing.T) {
	var m keyhealth.Moduli
	for _, n := range []*big.Int{big.NewInt(15), new(big.Int).Lsh(big.NewInt(1), 16384)} {
		if i, got := m.Add(n); i != -1 || got != nil || m.Len() != 0 {
			t.Errorf("%d bits are kept", n.BitLen())
		}
	}
}

// BenchmarkModuli compares one new modulus with ten thousand.
func BenchmarkModuli(b *testing.B) {
	var m keyhealth.Moduli
	random := func() *big.Int { // their factors do not matter for the cost
		n, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 2047))
		if err != nil {
			b.Fatal(err)
		}
		return n.SetBit(n, 2047, 1).SetBit(n, 0, 1)
	}
	for m.Len() < 10_000 {
		m.Load(random())
	}
	n := random()
	for b.Loop() {
		m.Add(n)
	}
}
