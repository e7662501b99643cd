package sinks

import (
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/jwkswatch/jwkswatch/state"
	"github.com/jwkswatch/jwkswatch/state/bolt"
)

// The whole way with the real parts: a journal in bbolt, a broker, a restart.
func TestFromBoltToNATS(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "state.db")
	b := newBroker(t, nil)
	s := stream(t, b.client(), nil)
	all := samples(6, 1)
	for i, from := range []int{0, 3} {
		db, err := bolt.Open(t.Context(), bolt.Options{Path: path})
		if err != nil {
			t.Fatal(err)
		}
		n := openNATS(t, quick(b), (&ops{}).logger())
		d := &Delivery{Store: db, Sink: n, Log: (&ops{}).logger()}
		if err := d.Prepare(t.Context()); err != nil {
			t.Fatal(err)
		}
		stop := start(d)
		err = db.Commit(t.Context(), state.Txn{
			Prev: uint64(i), Next: state.Record{
				Endpoint: "ep-0", Revision: uint64(i) + 1, At: time.Now(), Evidence: []byte("{}"), Memory: []byte{1},
				Head: state.Head{Epoch: "e", Sequence: uint64(from + 3), Hash: [32]byte{byte(i + 1)}},
			},
			Events: all[from : from+3],
		})
		if err != nil {
			t.Fatal(err)
		}
		eventually(t, "all is sent", func() bool { return d.Stats().Sent == 3 })
		if err := stop(); err != nil {
			t.Fatal(err)
		}
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if got := stored(t, s); !slices.Equal(got, idsOf(all)) {
		t.Errorf("stored %v", got)
	}
}
