package bolt

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"github.com/jwkswatch/jwkswatch/state"
)

// RecoverOptions of Recover and Restore. Zero fields mean the default.
type RecoverOptions struct {
	Path    string
	Timeout time.Duration // to wait for the lock; 0 means 4 s
	Stream  string        // the agent's own event stream; its sequence goes into the anchor
	Backups string        // folder of the automatic backups; "" is that of the state
	// Check verifies a state at rest before it is opened; nil means the function
	// Check. An error that does not wrap state.ErrCorrupt says that it could not be
	// verified, and is noted.
	Check func(ctx context.Context, path string) error
}

// Recover opens the state of a daemon, whatever befell it. A state that is
// damaged, or of another installation, is moved aside and never deleted; the
// newest good backup of this installation takes its place, or an empty state
// when there is none. An older copy goes on under a new epoch. What was known is
// told by Keeper.Loss, until Keeper.Told. Only where nothing says that there was
// a state before, a new one is made without a word.
//
// It must not be used to look at a state: see OpenCopy. Errors: those of Open
// except state.ErrCorrupt. A disk without room, or a folder that may not be
// written, is an error and no loss; nothing is given up for it.
func Recover(ctx context.Context, o RecoverOptions) (*DB, *Keeper, error) {
	r := &recovery{o: o}
	// Each turn acts on what it finds, under the lock of what it finds, and the
	// next one looks again: another process may do the same.
	for range 8 {
		db, err := r.turn(ctx)
		if err != nil {
			return nil, nil, fmt.Errorf("opening state %s: %w", o.Path, err)
		}
		if db != nil {
			return db, r.keeper, nil
		}
	}
	return nil, nil, fmt.Errorf("opening state %s: it does not hold still", o.Path)
}

type recovery struct {
	o      RecoverOptions
	notes  []string
	anchor *Anchor // nil: there is none
	blind  bool    // there is one, and it cannot be read
	sure   bool    // what stands at the path was made by this recovery
	keeper *Keeper
}

func (r *recovery) note(format string, args ...any) {
	r.notes = append(r.notes, fmt.Sprintf(format, args...))
}

// turn returns the open state, or nil when it has replaced it.
func (r *recovery) turn(ctx context.Context) (*DB, error) {
	if err := r.readAnchor(); err != nil {
		return nil, err
	}
	_, err := os.Lstat(r.o.Path)
	if errors.Is(err, fs.ErrNotExist) {
		if r.anchor == nil {
			return r.first(ctx)
		}
		return nil, r.replace(ctx, Loss{Reason: ReasonLost}, false)
	}
	if err != nil {
		return nil, err
	}
	if err := r.verify(ctx); damagedState(err) {
		return nil, r.giveUp(ctx, err)
	}
	db, err := Open(ctx, Options{Path: r.o.Path, Timeout: r.o.Timeout})
	if damagedState(err) {
		return nil, r.giveUp(ctx, errors.Unwrap(err))
	}
	if err != nil {
		return nil, errors.Unwrap(err)
	}
	kept, err := r.compare(ctx, db)
	if err != nil || !kept {
		return nil, errors.Join(err, db.Close())
	}
	return db, nil
}

func (r *recovery) readAnchor() error {
	a, err := readAnchor(r.o.Path)
	if errors.Is(err, fs.ErrPermission) {
		return err
	}
	if r.anchor, r.blind = a, err != nil; r.blind {
		r.anchor = new(Anchor)
		r.note("%s; whether the state is the newest cannot be known", err)
	}
	return nil
}

// verify looks at all of the file. What cannot be verified is opened all the
// same: opening looks at the structure again.
func (r *recovery) verify(ctx context.Context) error {
	if r.sure {
		return nil
	}
	err := checked(ctx, r.o.Check, r.o.Path)
	if err != nil && !damagedState(err) && !errors.Is(err, state.ErrLocked) && !errors.Is(err, ErrFormat) {
		r.note("the state could not be verified before it was opened: %s", clip(err.Error()))
	}
	return err
}

// first makes the first state of all.
func (r *recovery) first(ctx context.Context) (*DB, error) {
	if kept, err := KeptBackups(r.o.Path, r.o.Backups); err == nil && len(kept) > 0 {
		r.note("the state is new, by the look of the folder; %d backups of an earlier one are there: jwkswatch restore %s", len(kept), kept[0].Path)
	}
	db, err := Open(ctx, Options{Path: r.o.Path, Timeout: r.o.Timeout})
	if err != nil {
		return nil, errors.Unwrap(err)
	}
	r.keep(ctx, db, nil)
	return db, nil
}

// keep begins to keep the anchor of a state that is in order. A disk that is
// full now is no reason not to watch: the anchor is tried again, and the old one
// holds until then.
func (r *recovery) keep(ctx context.Context, db *DB, loss *Loss) {
	r.keeper = &Keeper{db: db, path: r.o.Path, stream: r.o.Stream, loss: loss}
	if err := r.keeper.Write(ctx); err != nil {
		r.note("the anchor of the state is not written: %s", clip(err.Error()))
	}
	r.keeper.Notes = r.notes
}

// compare holds the state against its anchor. It returns false when it had to be
// replaced.
func (r *recovery) compare(ctx context.Context, db *DB) (bool, error) {
	is, err := db.Standing(ctx, r.o.Stream)
	if err != nil {
		return false, err
	}
	if r.anchor == nil || r.blind {
		if !r.blind && is.Position > 0 {
			r.note("there is no anchor beside the state: it is taken as it is, and whether it is the newest cannot be known")
		}
		r.keep(ctx, db, nil)
		return true, nil
	}
	reason, err := r.anchor.holds(ctx, db, is)
	if err != nil {
		return false, err
	}
	switch reason {
	case "":
		loss := r.anchor.Loss
		if loss != nil && loss.Epoch != is.Epoch {
			loss = nil // the state came back before it was replaced
		}
		r.keep(ctx, db, loss)
		return true, nil
	case ReasonOlder:
		return true, r.rewind(ctx, db, is)
	}
	return false, r.replace(ctx, Loss{Reason: reason, Found: is.Point}, true)
}

// rewind goes on with an older copy of this state. The anchor is first: a crash
// in between finds an older state again.
func (r *recovery) rewind(ctx context.Context, db *DB, is Anchor) error {
	loss := r.continued(Loss{Reason: ReasonOlder})
	loss.Found, loss.Epoch = is.Point, newEpoch()
	is.Epoch, is.Loss, is.At = loss.Epoch, &loss, time.Now().UTC()
	if err := writeAnchor(r.o.Path, is); err != nil {
		return err
	}
	if err := db.renewEpoch(ctx, loss.Epoch); err != nil {
		return err
	}
	r.keep(ctx, db, &loss)
	return nil
}

// giveUp replaces a damaged state. Its lock is held meanwhile, and it must still
// have its name then: another process may have replaced it.
func (r *recovery) giveUp(ctx context.Context, cause error) error {
	f, err := os.Open(r.o.Path)
	if err != nil {
		return err
	}
	defer f.Close() // gives the lock back
	if err := lock(ctx, f, timeoutOf(r.o.Timeout), tryLock); err != nil {
		return err
	}
	if same, err := stillNamed(f, r.o.Path); err != nil || !same {
		return err // the next turn looks at what stands there now
	}
	return r.replace(ctx, Loss{Reason: ReasonDamaged, Cause: clip(cause.Error())}, true)
}

func stillNamed(f *os.File, path string) (bool, error) {
	a, err := f.Stat()
	if err != nil {
		return false, err
	}
	b, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil && os.SameFile(a, b), err
}
