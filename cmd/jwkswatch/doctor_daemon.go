package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/jwkswatch/jwkswatch/configs"
	"github.com/jwkswatch/jwkswatch/query"
	"github.com/jwkswatch/jwkswatch/state"
	"github.com/jwkswatch/jwkswatch/state/bolt"
)

const (
	// spareRoom is what a disk should have beside a second copy of the state, which a
	// backup and a compaction need.
	spareRoom = 256 << 20
	// behind is how old an event may grow before its sink is called slow.
	behind = 5 * time.Minute
)

// stored is how it stands with the state file, and its folder.
func stored(c *configs.Config, s query.StatusReport, err error) []diagnosis {
	const part = "state"
	var out []diagnosis
	switch {
	case err == nil:
		out = append(out, say(part, well, fmt.Sprintf("%s, %d MiB", c.State.Path, s.StateBytes>>20), ""))
		for _, p := range s.Problems {
			out = append(out, say(part, broken, p, "the next start sets the damaged file aside and goes on with a backup: see jwkswatch explain agent.state_lost"))
		}
	case errors.Is(err, fs.ErrNotExist):
		out = append(out, say(part, well, c.State.Path+" is not there yet: the first start makes it", ""))
	case errors.Is(err, state.ErrLocked):
		out = append(out, say(part, broken, err.Error(), "a process holds the state and answers no question: it may be starting, or hang"))
	case errors.Is(err, fs.ErrPermission):
		out = append(out, say(part, broken, err.Error(), "call this as the user whom the daemon runs as"))
	default:
		out = append(out, say(part, broken, err.Error(), "jwkswatch restore puts a backup in its place"))
	}
	dir, err := existing(filepath.Dir(c.State.Path))
	if err == nil && !s.Running {
		err = writable(dir)
	}
	if err != nil {
		return append(out, say(part, broken, err.Error(), "the daemon has to write there: state.path in the configuration, StateDirectory= in the unit"))
	}
	if free, err := bolt.FreeRoom(dir); err != nil {
		out = append(out, say(part, unknown, "the room on the disk: "+err.Error(), ""))
	} else if need := uint64(s.StateBytes) + spareRoom; free < need {
		out = append(out, say(part, warning, fmt.Sprintf("%s has %d MiB left; a backup and a compaction want %d", dir, free>>20, need>>20), "make room, or lower state.retain"))
	}
	return out
}

// existing is the folder, or the nearest one above that is there.
func existing(dir string) (string, error) {
	for {
		info, err := os.Stat(dir)
		switch above := filepath.Dir(dir); {
		case err == nil && !info.IsDir():
			return "", fmt.Errorf("%s is no folder", dir)
		case err == nil:
			return dir, nil
		case !errors.Is(err, fs.ErrNotExist) || above == dir:
			return "", err
		default:
			dir = above
		}
	}
}

// writable makes a file in a folder, and takes it away.
func writable(dir string) error {
	f, err := os.CreateTemp(dir, ".jwkswatch-doctor-*")
	if err != nil {
		return err
	}
	return errors.Join(f.Close(), os.Remove(f.Name()))
}

// kept is how it stands with the backups. A state that never was has none.
func kept(c *configs.Config) []diagnosis {
	const part = "backup"
	b := c.State.Backup
	if b.Every == 0 {
		return []diagnosis{say(part, warning, "no backups are kept: a damaged state is a new baseline", "set state.backup.every")}
	}
	if _, err := os.Stat(c.State.Path); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	list, err := bolt.KeptBackups(c.State.Path, b.Dir)
	if err != nil {
		return []diagnosis{say(part, broken, err.Error(), "")}
	}
	if len(list) == 0 {
		return []diagnosis{say(part, warning, "there is no backup yet", "the daemon keeps the first within minutes; its log says what keeps it from that")}
	}
	newest := list[0].At
	text := fmt.Sprintf("%d kept, the newest of %s", len(list), newest.UTC().Format("2006-01-02 15:04 UTC"))
	if bolt.KeepDue(list, time.Now().Add(-b.Every/4), b.Every) {
		return []diagnosis{say(part, warning, text+": one is overdue", "the daemon keeps one at its next start; its log says what keeps it from that")}
	}
	return []diagnosis{say(part, well, text, "")}
}

// running is how the daemon fares.
func running(c *configs.Config, s query.StatusReport) []diagnosis {
	const part = "daemon"
	var out []diagnosis
	if v := or(s.Version, ""); v != version() {
		out = append(out, say(part, warning, fmt.Sprintf("it is version %s, and this program %s", v, version()), "restart it"))
	}
	switch {
	case s.ConfigRefused != nil:
		out = append(out, say(part, broken, "it does not take the configuration on disk: "+*s.ConfigRefused, "jwkswatch config check shows every error; the one before goes on"))
	case or(s.ConfigDigest, "") != digest(c.Digest):
		out = append(out, say(part, warning, "it does not use this configuration", "jwkswatch reload takes it up now; if it is started with another file, name that with -c"))
	}
	for _, code := range s.Degraded {
		out = append(out, say(part, broken, "agent.degraded, "+code, "jwkswatch explain agent.degraded"))
	}
	if out == nil {
		out = append(out, say(part, well, "version "+version()+", it uses this configuration", ""))
	}
	return out
}

// polled is how the daemon fares with the endpoints.
func polled(c *configs.Config, rows []query.EndpointRow) []diagnosis {
	const part = "endpoint"
	var out []diagnosis
	good := 0
	for _, e := range c.Endpoints {
		i := slices.IndexFunc(rows, func(r query.EndpointRow) bool { return r.Name == e.Name })
		if i < 0 || rows[i].State == "unwatched" {
			out = append(out, say(part, warning, "the daemon does not watch it yet", "jwkswatch reload").of(e.Name))
			continue
		}
		switch r := rows[i]; r.State {
		case "good":
			good++
		case "unseen":
			out = append(out, say(part, warning, "never seen: "+failing(r), "jwkswatch doctor --look asks it now").of(e.Name))
		case "unreadable":
			out = append(out, say(part, broken, or(r.Error, "its state cannot be read"), "a restart checks the state and goes on with a backup").of(e.Name))
		default:
			out = append(out, say(part, warning, failing(r), "jwkswatch explain endpoint.unreachable").of(e.Name))
		}
	}
	return append(out, say(part, well, fmt.Sprintf("%d of %d answer", good, len(c.Endpoints)), ""))
}

func failing(r query.EndpointRow) string {
	if r.Failures == 0 {
		return "not polled yet"
	}
	text := fmt.Sprintf("%d polls failed in a row", r.Failures)
	if r.FailingSince != nil {
		text += " since " + r.FailingSince.UTC().Format("2006-01-02 15:04 UTC")
	}
	return text + ": " + strings.TrimSpace(or(r.Phase, "")+" "+or(r.Code, ""))
}

// delivering is how the daemon fares with the sinks.
func delivering(c *configs.Config, rows []query.SinkRow, now time.Time) []diagnosis {
	const part = "sink"
	var out []diagnosis
	for _, s := range c.Sinks {
		i := slices.IndexFunc(rows, func(r query.SinkRow) bool { return r.Name == s.Name })
		if i < 0 {
			out = append(out, say(part, warning, "the daemon does not serve it yet", "jwkswatch reload").of(s.Name))
			continue
		}
		out = append(out, delivery(rows[i], now).of(s.Name))
	}
	return out
}

func delivery(r query.SinkRow, now time.Time) diagnosis {
	const part = "sink"
	waiting := fmt.Sprintf("%d events wait", r.Pending)
	switch {
	case r.Connected != nil && !*r.Connected:
		return say(part, broken, "not connected: "+or(r.LastError, "no word why")+"; "+waiting, "nothing is lost: the journal keeps them. jwkswatch doctor --look tries it now")
	case r.Lost != nil && *r.Lost > 0:
		return say(part, broken, fmt.Sprintf("%d events that it had are gone there", *r.Lost), "jwkswatch explain agent.events_lost")
	case r.Parked != nil && *r.Parked > 0:
		return say(part, warning, fmt.Sprintf("%d events were refused for good and set aside", *r.Parked), "jwkswatch explain agent.degraded")
	case r.Oldest != nil && now.Sub(r.Oldest.Time) > behind:
		return say(part, warning, waiting+", the oldest since "+r.Oldest.UTC().Format("2006-01-02 15:04 UTC")+": "+or(r.LastError, "it is slow"), "jwkswatch doctor --look tries it now")
	}
	return say(part, well, "has all but "+fmt.Sprint(r.Pending), "")
}
