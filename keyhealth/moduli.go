package keyhealth

import (
	"crypto/sha256"
	"math/big"
)

const (
	// batch is how many moduli are multiplied: large enough that one division
	// does for many, small enough that a new one costs little to take in.
	batch = 64
	// MaxModuli bounds Moduli: about 64 MiB at 2,048 bits. Those beyond are
	// compared and not kept.
	MaxModuli = 1 << 17
	// minShared is the least length in bits of a factor that two keys share by a
	// fault of their generator. Random numbers that are no products of two primes
	// share small factors by chance.
	minShared = 64
)

// Match is a modulus that has a factor in common with a new one.
type Match struct {
	Index int // as Add gave it
	// New and Old say whose modulus the common factor is a proper part of: who
	// publishes a multiple of somebody's modulus weakens only his own.
	New, Old bool
}

// Moduli are RSA moduli of which no two should share a prime (Heninger et al.,
// Mining Your Ps and Qs, 2012). The zero value is empty. It is not safe for
// concurrent use.
type Moduli struct {
	list     []*big.Int
	index    map[[32]byte]int
	products []*big.Int // of batch moduli each
	open     *big.Int   // product of those since the last full batch
}

// Len is how many moduli are held.
func (m *Moduli) Len() int { return len(m.list) }

// Load adds a modulus without comparing it, for those that were compared by an
// earlier process, and returns its index, or -1 for one that is not kept.
func (m *Moduli) Load(n *big.Int) int {
	id := hashOf(n)
	if i, ok := m.index[id]; ok {
		return i
	}
	if n.BitLen() <= minShared || n.BitLen() > maxArithmetic || len(m.list) == MaxModuli {
		return -1
	}
	if m.index == nil {
		m.index = map[[32]byte]int{}
	}
	m.index[id] = len(m.list)
	m.list = append(m.list, n)
	if m.open == nil {
		m.open = big.NewInt(1)
	}
	m.open = new(big.Int).Mul(m.open, n)
	if len(m.list)%batch == 0 {
		m.products, m.open = append(m.products, m.open), nil
	}
	return len(m.list) - 1
}

// Add compares a modulus with all that are held, itself excepted, and adds it. The
// index is -1 when it is not kept.
func (m *Moduli) Add(n *big.Int) (index int, matches []Match) {
	if n.BitLen() > minShared && n.BitLen() <= maxArithmetic {
		matches = m.compare(n)
	}
	return m.Load(n), matches
}

// compare multiplies the remainders of all batches, so that one GCD answers for
// all of them; only a common factor is looked for one by one.
func (m *Moduli) compare(n *big.Int) []Match {
	acc, r := big.NewInt(1), new(big.Int)
	known := -1
	if i, ok := m.index[hashOf(n)]; ok {
		known = i / batch
	}
	var suspects []int
	for i := range m.batches() {
		if i == known { // its product is zero modulo n and would hide the others
			suspects = append(suspects, i)
			continue
		}
		r.Mod(m.product(i), n)
		acc.Mod(acc.Mul(acc, r), n)
	}
	if shares(acc, n) {
		suspects = suspects[:0]
		for i := range m.batches() {
			suspects = append(suspects, i)
		}
	}
	var out []Match
	for _, i := range suspects {
		if i != known && !shares(r.Mod(m.product(i), n), n) {
			continue
		}
		for j := i * batch; j < min((i+1)*batch, len(m.list)); j++ {
			old := m.list[j]
			if old.Cmp(n) == 0 {
				continue
			}
			if g := new(big.Int).GCD(nil, nil, old, n); g.BitLen() > minShared {
				out = append(out, Match{Index: j, New: g.Cmp(n) != 0, Old: g.Cmp(old) != 0})
			}
		}
	}
	return out
}

func (m *Moduli) batches() int {
	if m.open != nil {
		return len(m.products) + 1
	}
	return len(m.products)
}

func (m *Moduli) product(i int) *big.Int {
	if i < len(m.products) {
		return m.products[i]
	}
	return m.open
}

// shares reports whether a remainder modulo n has a large factor in common with n.
func shares(r, n *big.Int) bool {
	return r.Sign() == 0 || new(big.Int).GCD(nil, nil, r, n).BitLen() > minShared
}

func hashOf(n *big.Int) [32]byte { return sha256.Sum256(n.Bytes()) }
