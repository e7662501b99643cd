package bolt

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// continued joins a loss with one that is not told yet: what was known before
// the first of them is what is missing.
func (r *recovery) continued(l Loss) Loss {
	l.ID = rand.Text()
	if r.anchor == nil {
		return l
	}
	if l.Known = r.anchor.Point; r.anchor.Installation == "" {
		l.Known = Point{}
	}
	if before := r.anchor.Loss; before != nil {
		l.ID, l.Reason, l.Known = before.ID, before.Reason, before.Known
		l.Aside, l.Cause = before.Aside, before.Cause
	}
	return l
}

// replace puts a backup or an empty state where the state was. The loss is on
// disk before anything is moved, so that a crash cannot hide it.
func (r *recovery) replace(ctx context.Context, l Loss, aside bool) error {
	cause := l.Cause
	l = r.continued(l)
	if l.Cause == "" {
		l.Cause = cause
	}
	a := Anchor{}
	if r.anchor != nil {
		a = *r.anchor
	}
	var to string
	if aside {
		var err error
		if to, err = asidePath(r.o.Path, l.Reason, time.Now()); err != nil {
			return err
		}
		l.Aside = filepath.Base(to)
	}
	a.Loss = &l
	if err := writeAnchor(r.o.Path, a); err != nil {
		return err
	}
	if aside {
		if err := errors.Join(os.Rename(r.o.Path, to), syncDir(filepath.Dir(r.o.Path))); err != nil {
			return err
		}
	}
	made, err := r.made(ctx, &l)
	if err != nil {
		return err
	}
	r.sure = true
	return r.putIn(ctx, made, l)
}

// putIn writes the anchor of what was made and gives it its name.
func (r *recovery) putIn(ctx context.Context, made string, l Loss) error {
	is, err := finish(ctx, made, r.o.Stream, l.Epoch)
	if err != nil {
		return errors.Join(err, os.Remove(made))
	}
	is.Loss, is.At = &l, time.Now().UTC()
	if err := writeAnchor(r.o.Path, is); err != nil {
		return errors.Join(err, os.Remove(made))
	}
	return moveIn(made, r.o.Path)
}

// finish gives a state its new epoch and returns where it stands.
func finish(ctx context.Context, path, stream, epoch string) (Anchor, error) {
	db, err := Open(ctx, Options{Path: path})
	if err != nil {
		return Anchor{}, err
	}
	err = db.renewEpoch(ctx, epoch)
	var is Anchor
	if err == nil {
		is, err = db.Standing(ctx, stream)
	}
	return is, errors.Join(err, db.Close())
}

// made makes what takes the place of the state, under a name of its own.
func (r *recovery) made(ctx context.Context, l *Loss) (string, error) {
	l.Epoch = newEpoch()
	kept, err := KeptBackups(r.o.Path, r.o.Backups)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", err
	}
	for _, k := range kept {
		made, is, err := r.copyOf(ctx, k.Path)
		switch {
		case err == nil && r.anchor != nil && r.anchor.Installation != "" && is.Installation != r.anchor.Installation:
			r.note("backup %s is of another installation: not used", filepath.Base(k.Path))
			if err := os.Remove(made); err != nil {
				return "", err
			}
		case err == nil:
			l.Backup, l.Found = filepath.Base(k.Path), is.Point
			return made, nil
		case damagedState(err) || errors.Is(err, ErrFormat):
			r.note("backup %s is not used: %s", filepath.Base(k.Path), clip(err.Error()))
		default:
			// No room, or no permission: that is no reason to begin without a baseline.
			return "", fmt.Errorf("restoring backup %s: %w", k.Path, err)
		}
	}
	if l.Reason != ReasonOlder && l.Reason != ReasonForeign {
		l.Found = Point{}
	}
	l.Backup = ""
	return createBeside(r.o.Path)
}

// copyOf copies a good backup beside the state.
func (r *recovery) copyOf(ctx context.Context, from string) (name string, is Anchor, err error) {
	if err := checked(ctx, r.o.Check, from); damagedState(err) || errors.Is(err, ErrFormat) {
		return "", Anchor{}, err
	}
	f, err := os.Open(from)
	if err != nil {
		return "", Anchor{}, err
	}
	defer f.Close()
	to, err := os.CreateTemp(filepath.Dir(r.o.Path), filepath.Base(r.o.Path)+".new-*") // mode 0600
	if err != nil {
		return "", Anchor{}, err
	}
	if err = copyAll(ctx, to, f); err == nil {
		err = to.Sync()
	}
	if err = errors.Join(err, to.Close()); err == nil {
		is, err = standingOf(ctx, to.Name(), r.o.Stream)
	}
	if err != nil {
		return "", Anchor{}, errors.Join(err, os.Remove(to.Name()))
	}
	return to.Name(), is, nil
}

func standingOf(ctx context.Context, path, stream string) (is Anchor, err error) {
	db, err := Open(ctx, Options{Path: path})
	if err != nil {
		return Anchor{}, err
	}
	is, err = db.Standing(ctx, stream)
	return is, errors.Join(err, db.Close())
}

// asidePath is a name that nothing has yet.
func asidePath(path, reason string, now time.Time) (string, error) {
	name := path + "." + reason + "-" + now.UTC().Format(stampLayout)
	for i := range 1000 {
		to := name
		if i > 0 {
			to = fmt.Sprintf("%s-%d", name, i)
		}
		if _, err := os.Lstat(to); errors.Is(err, fs.ErrNotExist) {
			return to, nil
		}
	}
	return "", fmt.Errorf("no free name for %s", name)
}

// clip makes an error's text fit for a note.
func clip(text string) string { return text[:min(len(text), 300)] }

func timeoutOf(d time.Duration) time.Duration {
	if d == 0 {
		return defaultTimeout
	}
	return d
}
