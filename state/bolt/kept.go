package bolt

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"
)

const (
	stampLayout = "20060102T150405Z"
	keptMark    = ".backup-"
	partMark    = ".part-"
)

// Kept is an automatic backup.
type Kept struct {
	Path string
	At   time.Time // by its name, UTC
}

// KeptBackups lists the automatic backups of a state in a folder, newest first:
// files named after the state, with .backup- and the time. "" is the folder of
// the state.
func KeptBackups(statePath, dir string) ([]Kept, error) {
	dir = keptDir(statePath, dir)
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("listing backups: %w", err)
	}
	var out []Kept
	for _, e := range entries {
		stamp, ok := strings.CutPrefix(e.Name(), filepath.Base(statePath)+keptMark)
		if !ok || !e.Type().IsRegular() {
			continue
		}
		if at, err := time.Parse(stampLayout, stamp); err == nil {
			out = append(out, Kept{filepath.Join(dir, e.Name()), at})
		}
	}
	slices.SortFunc(out, func(a, b Kept) int { return b.At.Compare(a.At) })
	return out, nil
}

func keptDir(statePath, dir string) string {
	if dir == "" {
		return filepath.Dir(statePath)
	}
	return dir
}

// KeepOptions of Keep.
type KeepOptions struct {
	StatePath string
	Dir       string // "" is the folder of the state
	Keep      int    // newest backups that stay; at least one does
	Now       time.Time
	// Check verifies the copy before it takes the place of another; nil means the
	// function Check.
	Check func(ctx context.Context, path string) error
}

// Keep writes a backup of a state while commits go on, mode 0600, and verifies
// it. Only then it drops what is older than the newest of Keep: a state that went
// bad must not push out the last good copy. Errors: state.ErrCorrupt when the
// copy is damaged, as the state then is; it is not kept.
func (db *DB) Keep(ctx context.Context, o KeepOptions) (string, error) {
	path, err := db.keep(ctx, o)
	if err != nil {
		return "", fmt.Errorf("keeping a backup: %w", err)
	}
	return path, nil
}

func (db *DB) keep(ctx context.Context, o KeepOptions) (string, error) {
	dir := keptDir(o.StatePath, o.Dir)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", err
	}
	name := filepath.Base(o.StatePath) + keptMark + o.Now.UTC().Format(stampLayout)
	if err := dropParts(dir, filepath.Base(o.StatePath)+keptMark); err != nil {
		return "", err
	}
	if err := db.roomFor(dir); err != nil {
		return "", err
	}
	path := filepath.Join(dir, name)
	err := replaceFile(path, func(f *os.File) error {
		if err := errors.Join(db.Backup(ctx, f), f.Sync()); err != nil {
			return err
		}
		return checked(ctx, o.Check, f.Name())
	})
	if err != nil {
		return "", err
	}
	all, err := KeptBackups(o.StatePath, dir)
	if err != nil {
		return path, err
	}
	// Oldest first, and never the one that was just written: its time may lie
	// before that of others, by a clock that was set back.
	left := len(all)
	for _, k := range slices.Backward(all) {
		if left <= max(o.Keep, 1) {
			break
		}
		if k.Path == path {
			continue
		}
		if err := os.Remove(k.Path); err != nil {
			return path, err
		}
		left--
	}
	return path, nil
}

// roomFor refuses a backup that could fill the disk: the state must go on
// growing. It wants room for two copies.
func (db *DB) roomFor(dir string) error {
	size, err := db.Size()
	if err != nil {
		return err
	}
	free, err := FreeRoom(dir)
	if err != nil || free >= 2*uint64(size) {
		return nil // what cannot be known is tried
	}
	return fmt.Errorf("%s has %d octets free, and must have twice the %d of the state: %w", dir, free, size, syscall.ENOSPC)
}

// dropParts removes what an earlier run left half written.
func dropParts(dir, prefix string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), prefix) && strings.Contains(e.Name(), partMark) {
			if err := os.Remove(filepath.Join(dir, e.Name())); err != nil {
				return err
			}
		}
	}
	return nil
}

// checked runs a check of the caller's, or ours.
func checked(ctx context.Context, check func(context.Context, string) error, path string) error {
	if check != nil {
		return check(ctx, path)
	}
	_, err := Check(ctx, path)
	return err
}

// KeepDue reports whether a backup is due: none is younger than every. One from
// the future says nothing.
func KeepDue(kept []Kept, now time.Time, every time.Duration) bool {
	for _, k := range kept {
		if !k.At.After(now) {
			return now.Sub(k.At) >= every
		}
	}
	return true
}
