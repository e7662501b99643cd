package bolt

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"go.etcd.io/bbolt"
	berrors "go.etcd.io/bbolt/errors"

	"github.com/jwkswatch/jwkswatch/state"
)

// copyTimeout is how long OpenCopy waits for the lock: a daemon holds it for
// days, another copy for a moment.
const copyTimeout = time.Second

// errCopy is why nothing may be written to a copy: it would be lost.
var errCopy = errors.New("this is a copy for reading")

// OpenCopy opens a private copy of a state that no process holds, for reading.
// bbolt's lock lasts as long as a file is open: a reader that keeps it while
// somebody reads a page of text would keep the daemon from starting. So the
// shared lock is held only while the file is copied; the copy, mode 0600, has
// no name any more when OpenCopy returns, where the system allows that, and is
// gone with Close or with the process. It lies beside the state, or in the
// folder for temporary files when there is no room or no permission.
//
// The file itself is not changed, and not created when it is missing. Writing
// to a copy fails with state.ErrUnavailable. Errors: those of Open, and
// fs.ErrNotExist.
func OpenCopy(ctx context.Context, path string) (*DB, error) {
	db, err := openCopy(ctx, path)
	if err != nil {
		return nil, fmt.Errorf("opening a copy of state %s: %w", path, err)
	}
	return db, nil
}

func openCopy(ctx context.Context, path string) (_ *DB, err error) {
	f, remove, err := privateCopy(ctx, path)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			_ = f.Close() // bbolt may have closed it already
			_ = remove()
		}
	}()
	db, err := openFile(f, func() (*bbolt.DB, error) { return openReader(f) })
	if err != nil {
		return nil, err
	}
	db.broken = fmt.Errorf("%w: %w", state.ErrUnavailable, errCopy)
	db.cleanup = remove
	return db, nil
}

// openReader gives bbolt a file that nobody else has.
func openReader(f *os.File) (b *bbolt.DB, err error) {
	err = guard(func() error {
		b, err = bbolt.Open(f.Name(), 0o600, &bbolt.Options{
			ReadOnly: true,
			Timeout:  lockRetry,
			OpenFile: func(string, int, os.FileMode) (*os.File, error) { return f, nil },
		})
		return err
	})
	if errors.Is(err, berrors.ErrTimeout) {
		err = state.ErrLocked
	}
	return b, err
}

// privateCopy copies the file under its lock, and gives the lock back.
func privateCopy(ctx context.Context, path string) (_ *os.File, remove func() error, err error) {
	from, err := os.Open(path)
	if err != nil {
		return nil, nil, err
	}
	defer from.Close() // gives the lock back
	if info, err := from.Stat(); err != nil {
		return nil, nil, err
	} else if !info.Mode().IsRegular() {
		return nil, nil, errors.New("not a regular file")
	}
	if err := lock(ctx, from, copyTimeout, tryShare); err != nil {
		return nil, nil, err
	}
	// Who holds the state may have put another file in its place meanwhile.
	if named, err := stillNamed(from, path); err != nil || !named {
		return nil, nil, errors.Join(err, state.ErrLocked)
	}
	var failed error
	for _, dir := range []string{filepath.Dir(path), os.TempDir()} {
		to, remove, err := copyTo(ctx, from, dir)
		if err == nil {
			return to, remove, nil
		}
		failed = errors.Join(failed, fmt.Errorf("copying it to %s: %w", dir, err))
		if ctx.Err() != nil {
			break
		}
	}
	return nil, nil, failed
}

func copyTo(ctx context.Context, from *os.File, dir string) (_ *os.File, remove func() error, err error) {
	if _, err := from.Seek(0, io.SeekStart); err != nil {
		return nil, nil, err
	}
	to, err := os.CreateTemp(dir, ".jwkswatch-copy-*") // mode 0600
	if err != nil {
		return nil, nil, err
	}
	// An open file needs no name on most systems: nothing is left behind then,
	// even by a process that is killed.
	remove = func() error { return nil }
	if err := os.Remove(to.Name()); err != nil {
		remove = func() error { return os.Remove(to.Name()) }
	}
	err = copyAll(ctx, to, from)
	if err != nil {
		_ = to.Close()
		_ = remove()
		return nil, nil, err
	}
	return to, remove, nil
}

// copyAll copies a file from where it stands to its end.
func copyAll(ctx context.Context, to, from *os.File) error {
	const stride = 64 << 20 // between looks at the context
	for n := int64(stride); n == stride; {
		// From file to file: the kernel copies, or shares the blocks.
		var err error
		if n, err = io.Copy(to, io.LimitReader(from, stride)); err != nil {
			return err
		}
		if err := ctx.Err(); err != nil {
			return err
		}
	}
	return nil
}
