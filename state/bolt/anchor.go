package bolt

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"go.etcd.io/bbolt"

	"github.com/jwkswatch/jwkswatch/state"
)

const (
	anchorVersion = 1
	maxAnchor     = 64 << 10 // octets
)

// AnchorPath is where the anchor of a state is.
func AnchorPath(statePath string) string { return statePath + ".anchor" }

// Anchor is what is known of a state outside of it. Without it nobody could tell
// a state that was taken away from one that never was. It may be older than the
// state and is never newer, for it is written after a commit and not with it. It
// holds no secret, and is no proof against whoever may write the folder: they
// can write it too.
type Anchor struct {
	Version      int    `json:"version"`
	Installation string `json:"installation"` // a name of the key of the ids: the same in every copy, for ever
	Point
	Txn   uint64 `json:"transaction"` // of bbolt, grows with every commit
	Entry string `json:"entry"`       // digest of the stored entry at Position, hexadecimal; "" when there is none
	// Loss is what befell the state and is not told yet.
	Loss *Loss `json:"loss,omitempty"`
}

// Point is a time in the life of a state.
type Point struct {
	Epoch    string    `json:"epoch"`
	Position uint64    `json:"position"` // entries ever written
	Sequence uint64    `json:"sequence"` // of the agent's own stream
	At       time.Time `json:"at"`       // of the newest entry; of an anchor, when it was written
}

// Why a state was replaced, or is not what it was.
const (
	ReasonLost    = "lost"    // it was not there any more, or an empty one stood in its place
	ReasonOlder   = "older"   // an older copy stood in its place
	ReasonForeign = "foreign" // that of another installation, or one that went other ways
	ReasonDamaged = "damaged" // it cannot be read
	ReasonCommand = "command" // an operator has restored a backup
)

// Loss says what befell a state. It is kept until it is told.
type Loss struct {
	ID     string `json:"id"` // random: it is told once
	Reason string `json:"reason"`
	Known  Point  `json:"known"` // before, by the anchor; zero when nothing was
	// Found is what stands now instead: the older state or the backup. Zero when
	// the agent begins with an empty state.
	Found Point `json:"found"`
	// Backup is the name of the file that was restored, "" without one.
	Backup string `json:"backup,omitempty"`
	// Aside is the name of the file that now holds what stood there, in the same
	// folder; "" when there was none.
	Aside string `json:"aside,omitempty"`
	Cause string `json:"cause,omitempty"` // what is wrong with it
	// Epoch is that of the state which goes on; "" before it stands.
	Epoch string `json:"epoch"`
}

// readAnchor returns nil when there is none. An anchor that cannot be read is an
// error that is no fs.ErrNotExist: it says that there was a state.
func readAnchor(statePath string) (*Anchor, error) {
	f, err := os.Open(AnchorPath(statePath))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading the anchor: %w", err)
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxAnchor))
	if err != nil {
		return nil, fmt.Errorf("reading the anchor: %w", err)
	}
	var a Anchor
	if err := json.Unmarshal(b, &a); err != nil {
		return nil, errors.New("the anchor is not in its form")
	}
	if a.Version != anchorVersion {
		return nil, fmt.Errorf("the anchor has version %d, known is %d", a.Version, anchorVersion)
	}
	return &a, nil
}

// writeAnchor replaces the anchor, whole or not at all.
func writeAnchor(statePath string, a Anchor) error {
	a.Version = anchorVersion
	b, err := json.Marshal(a)
	if err == nil {
		err = replaceFile(AnchorPath(statePath), func(f *os.File) error {
			_, err := f.Write(append(b, '\n'))
			return err
		})
	}
	if err != nil {
		return fmt.Errorf("writing the anchor: %w", err)
	}
	return nil
}

// replaceFile writes a file of mode 0600 beside its name, and gives it the name
// when it is on disk.
func replaceFile(path string, write func(*os.File) error) (err error) {
	dir := filepath.Dir(path)
	f, err := os.CreateTemp(dir, filepath.Base(path)+".part-*")
	if err != nil {
		return err
	}
	if err = write(f); err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return syncDir(dir)
}

// Standing returns where the state stands now, as its anchor would say. Stream
// is the name of the agent's own event stream. Errors: state.ErrCorrupt,
// state.ErrUnavailable.
func (db *DB) Standing(ctx context.Context, stream string) (a Anchor, err error) {
	err = db.read(ctx, func(tx *bbolt.Tx) error {
		l, err := readLedger(tx)
		if err != nil {
			return err
		}
		a = Anchor{
			Version: anchorVersion, Installation: db.installation.Name(), Txn: uint64(tx.ID()),
			Point: Point{Epoch: db.installation.Epoch, Position: l.last},
		}
		h, err := readHead(tx, []byte(stream))
		if err != nil {
			return err
		}
		if h.revision > 0 {
			r, err := readRecord(tx, stream, h.revision)
			if err != nil {
				return err
			}
			a.Sequence = r.head.Sequence
		}
		if l.first > l.last {
			return nil
		}
		a.Entry, a.At = entryAt(tx, l.last)
		return nil
	})
	if err != nil {
		return Anchor{}, fmt.Errorf("reading where the state stands: %w", err)
	}
	return a, nil
}

// entryAt returns the digest and the time of an entry, "" when it was dropped or
// thinned, or is damaged: whoever needs it will be told so.
func entryAt(tx *bbolt.Tx, position uint64) (digest string, at time.Time) {
	p, err := readPlace(tx, position)
	if err != nil || p.mark {
		return "", p.At
	}
	value := tx.Bucket([]byte(bucketJournal)).Get(number(position))
	return hex.EncodeToString(value[1:sealSize]), p.At
}

// holds compares a state with its anchor and returns why it is not the state
// that the anchor knows, "" when it is.
func (a *Anchor) holds(ctx context.Context, db *DB, is Anchor) (reason string, err error) {
	switch {
	case a.Installation != "" && a.Installation != is.Installation:
		if is.Position == 0 {
			return ReasonLost, nil
		}
		return ReasonForeign, nil
	case a.Installation == "":
		return "", nil // an anchor that never knew a state
	case a.Epoch != is.Epoch || a.Txn > is.Txn || a.Position > is.Position:
		return ReasonOlder, nil
	case a.Entry == "":
		return "", nil
	}
	err = db.read(ctx, func(tx *bbolt.Tx) error {
		if has, _ := entryAt(tx, a.Position); has != "" && has != a.Entry {
			reason = ReasonForeign // a copy that was used elsewhere
		}
		return nil
	})
	return reason, err
}

// renewEpoch gives a state that was restored a new epoch: its revisions are
// counted again, and the ids of its events must not be.
func (db *DB) renewEpoch(ctx context.Context, epoch string) error {
	err := db.write(ctx, 0, func(w *writer) error { return w.put(bucketMeta, []byte(metaEpoch), []byte(epoch)) })
	if err != nil {
		return fmt.Errorf("renewing the epoch: %w", err)
	}
	db.installation.Epoch = epoch
	return nil
}

// damagedState reports whether an error says that the file itself is bad.
func damagedState(err error) bool { return errors.Is(err, state.ErrCorrupt) }
