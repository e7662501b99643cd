package bolt

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// Restored says what Restore did.
type Restored struct {
	Found Point  // where the backup stands
	Aside string // path of the file that holds what stood there; "" when there was none
}

// Restore puts a backup in the place of a state that no process holds. What
// stood there is moved aside and not deleted. The copy gets a new epoch; the next
// Recover tells by Keeper.Loss, reason command. Errors: state.ErrLocked when the
// state is held, state.ErrCorrupt and ErrFormat about the backup, and those of
// the file system.
func Restore(ctx context.Context, o RecoverOptions, from string) (Restored, error) {
	out, err := restore(ctx, o, from)
	if err != nil {
		return Restored{}, fmt.Errorf("restoring %s to state %s: %w", from, o.Path, err)
	}
	return out, nil
}

func restore(ctx context.Context, o RecoverOptions, from string) (Restored, error) {
	r := &recovery{o: o}
	if err := r.readAnchor(); err != nil {
		return Restored{}, err
	}
	held, err := os.Open(o.Path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		if err := os.MkdirAll(filepath.Dir(o.Path), 0o700); err != nil {
			return Restored{}, err
		}
	case err != nil:
		return Restored{}, err
	default:
		defer held.Close() // gives the lock back
		if err := lock(ctx, held, timeoutOf(o.Timeout), tryLock); err != nil {
			return Restored{}, err
		}
		if named, err := stillNamed(held, o.Path); err != nil {
			return Restored{}, err
		} else if !named {
			return Restored{}, errors.New("another process has replaced it meanwhile")
		}
		if same, err := sameFile(o.Path, from); err != nil {
			return Restored{}, err
		} else if same {
			return Restored{}, errors.New("that is the state itself")
		}
	}
	made, is, err := r.copyOf(ctx, from)
	if err != nil {
		return Restored{}, err
	}
	l := r.continued(Loss{})
	l.Reason, l.Found, l.Backup, l.Epoch, l.Cause = ReasonCommand, is.Point, filepath.Base(from), newEpoch(), ""
	out := Restored{Found: is.Point}
	if held != nil {
		if out.Aside, err = asidePath(o.Path, "replaced", time.Now()); err == nil {
			l.Aside = filepath.Base(out.Aside)
			err = os.Rename(o.Path, out.Aside)
		}
		if err != nil {
			return Restored{}, errors.Join(err, os.Remove(made))
		}
	}
	// A crash here leaves no state: the next start restores the newest backup and
	// says that the state was lost.
	if err := r.putIn(ctx, made, l); err != nil {
		return out, err
	}
	// Root restores for the daemon's own user, who could read neither otherwise.
	return out, errors.Join(give(o.Path), give(AnchorPath(o.Path)))
}

func sameFile(a, b string) (bool, error) {
	x, err := os.Stat(a)
	if err != nil {
		return false, err
	}
	y, err := os.Stat(b)
	return err == nil && os.SameFile(x, y), err
}
