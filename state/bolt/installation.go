package bolt

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
)

// Installation is what makes the ids of this state its own. Key is a secret:
// who has it can foretell and forge event ids. No form of printing shows it,
// but fmt cannot call methods on an unexported field: keep a pointer there.
type Installation struct {
	Epoch string   // 128 random bits in hexadecimal, new whenever a state is created
	Key   [32]byte // random, for keyed ids
}

func newInstallation() Installation {
	var epoch [epochSize / 2]byte
	var i Installation
	// crypto/rand.Read never returns an error.
	_, _ = rand.Read(epoch[:])
	_, _ = rand.Read(i.Key[:])
	i.Epoch = hex.EncodeToString(epoch[:])
	return i
}

// Name tells installations apart and says nothing of the key. Copies of a state
// have the same name, also when their epoch was renewed.
func (i Installation) Name() string {
	h := hmac.New(sha256.New, i.Key[:])
	h.Write([]byte("jwkswatch: name of the installation")) // never returns an error
	return hex.EncodeToString(h.Sum(nil)[:16])
}

func newEpoch() string { return newInstallation().Epoch }

// String leaves the key out.
func (i Installation) String() string { return "installation " + i.Epoch }

// GoString leaves the key out.
func (i Installation) GoString() string { return fmt.Sprintf("bolt.Installation{Epoch:%q}", i.Epoch) }

// Format leaves the key out, whatever the verb: %d would print the octets.
func (i Installation) Format(f fmt.State, verb rune) {
	text := i.String()
	if verb == 'v' && f.Flag('#') {
		text = i.GoString()
	}
	_, _ = f.Write([]byte(text))
}

// MarshalJSON leaves the key out.
func (i Installation) MarshalJSON() ([]byte, error) {
	return fmt.Appendf(nil, `{"epoch":%q}`, i.Epoch), nil
}
