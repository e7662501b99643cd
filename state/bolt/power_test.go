package bolt_test

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/jwkswatch/jwkswatch/state/bolt"
)

// What the child of the power test writes.
const (
	powerEndpoints = 3
	powerSteps     = 24
	powerCursor    = "siem"
)

// childPower creates a state and commits to it from several sides. What was
// acknowledged it notes in a file of fixed records, where strace sees it in
// order with the writes of the state.
func childPower(path string) {
	acks, err := os.Create(path + ".acks")
	must(err)
	db, err := bolt.Open(context.Background(), bolt.Options{Path: path})
	must(err)
	ctx := context.Background()
	var wg sync.WaitGroup
	var mu sync.Mutex
	var at int64
	note := func(what string, n uint64) {
		mu.Lock()
		defer mu.Unlock()
		record := fmt.Appendf(nil, "%s %d\n", what, n)
		_, err := acks.WriteAt(record, at)
		must(err)
		at += int64(len(record))
	}
	for e := range powerEndpoints {
		wg.Go(func() {
			name := fmt.Sprint("e", e)
			for r := uint64(1); r <= powerSteps; r++ {
				txn := step(name, r, 2)
				if r%10 == 0 { // the file has to grow now and then
					txn.Next.Evidence = slices.Repeat([]byte{byte(r)}, 60_000)
				}
				must(db.Commit(ctx, txn))
				note(name, r)
				if e == 0 && r%3 == 0 {
					head, err := db.Head(ctx)
					must(err)
					must(db.SetCursor(ctx, powerCursor, head))
					n, err := strconv.ParseUint(head, 16, 64)
					must(err)
					note(powerCursor, n)
				}
			}
		})
	}
	wg.Wait()
	must(db.Close())
}

// disk is what a disk may hold of a file: what was synced, and what was not.
type disk struct {
	synced  []byte
	pending []call
}

func (d *disk) apply(b []byte, c *call) []byte {
	if c.name == "ftruncate" {
		return resize(b, int(c.at))
	}
	b = resize(b, max(len(b), int(c.at)+len(c.data)))
	copy(b[c.at:], c.data)
	return b
}

func resize(b []byte, n int) []byte {
	if n <= len(b) {
		return b[:n]
	}
	return append(b, make([]byte, n-len(b))...)
}

func (d *disk) sync() {
	for i := range d.pending {
		d.synced = d.apply(d.synced, &d.pending[i])
	}
	d.pending = nil
}

// image is what the disk may hold when the power fails now. Way 0 drops all
// that is not synced and way 1 keeps it; the even ones after it keep some of the
// writes, the odd ones some of their sectors of 512 octets.
func (d *disk) image(way int, random *rand.Rand) []byte {
	b := slices.Clone(d.synced)
	keep := random.Float64()
	for i := range d.pending {
		c := &d.pending[i]
		switch {
		case way == 0:
		case way == 1:
			b = d.apply(b, c)
		case way%2 == 0 || c.name == "ftruncate":
			if random.Float64() < keep {
				b = d.apply(b, c)
			}
		default:
			for at := 0; at < len(c.data); at += 512 {
				if random.Float64() < keep {
					b = d.apply(b, &call{name: c.name, at: c.at + int64(at), data: c.data[at:min(at+512, len(c.data))]})
				}
			}
		}
	}
	return b
}

// TestPowerLoss records the writes of real commits and gives the state every
// kind of disk that a power cut at a sync may leave: nothing that was
// acknowledged is lost, and every digest holds. JWKSWATCH_IMAGES sets how many
// disks. The same test over a disk that lies about its syncs must find losses,
// or it would find none ever.
func TestPowerLoss(t *testing.T) {
	t.Parallel()
	images := 2000
	if n, err := strconv.Atoi(os.Getenv("JWKSWATCH_IMAGES")); err == nil {
		images = n
	}
	dir := inMemory(t)
	path, trace := filepath.Join(dir, "state.db"), filepath.Join(dir, "trace")
	cmd := straced(t, child(t, "power", path), recorded(trace)...)
	if out, err := cmd.Output(); err != nil {
		t.Fatalf("%v: %s%s", err, out, cmd.Stderr)
	}
	calls := readCalls(t, trace)
	syncs, several, pending := 0, 0, 0 // several: syncs of more than one write
	for _, c := range calls {
		switch {
		case c.path != path || c.name == "linkat":
		case !strings.HasSuffix(c.name, "sync"):
			pending++
		default:
			if syncs++; pending > 1 {
				several++
			}
			pending = 0
		}
	}
	if syncs < 2*powerSteps {
		t.Fatalf("%d syncs of the state were recorded: this proves little", syncs)
	}
	p := newPower(t, path, images/max(several, 1)+1)
	p.run(calls)
	for _, problem := range p.problems[:min(len(p.problems), 20)] {
		t.Error(problem)
	}
	t.Logf("%d disks (%d different) at %d syncs of %d steps: %d broken, %d acknowledged lost",
		p.count, len(p.seen), syncs, powerEndpoints*powerSteps, p.broken, len(p.problems)-p.broken)
	if p.count < images {
		t.Errorf("only %d of %d disks", p.count, images)
	}
	lying := newPower(t, path, 4)
	lying.lies = true
	lying.run(calls)
	if len(lying.problems) == 0 {
		t.Error("a disk that ignores every third sync lost nothing: this test sees nothing")
	}
}

// power replays a recording.
type power struct {
	t      *testing.T
	path   string // of the state
	each   int    // disks at a sync
	lies   bool   // the disk ignores every third sync
	random *rand.Rand

	disks    map[string]*disk
	acked    map[string]uint64
	seen     map[[32]byte]contents
	count    int
	problems []string
	broken   int // problems that are no loss of what was acknowledged
}

func newPower(t *testing.T, path string, each int) *power {
	return &power{
		t: t, path: path, each: each, random: rand.New(rand.NewPCG(uint64(each), 1)),
		disks: map[string]*disk{}, acked: map[string]uint64{}, seen: map[[32]byte]contents{},
	}
}

func (p *power) run(calls []call) {
	syncs := 0
	for i := range calls {
		c := &calls[i]
		d := p.disks[c.path]
		if d == nil {
			d = &disk{}
			p.disks[c.path] = d
		}
		switch {
		case c.path == p.path+".acks":
			p.acknowledge(string(c.data))
		case c.name == "linkat":
			if c.to == p.path && len(d.pending) > 0 {
				p.problems = append(p.problems, "the state had its name before it was on the disk")
			}
			p.disks[c.to] = d
		case strings.HasSuffix(c.name, "sync"):
			if c.path == p.path {
				ways := p.each
				if len(d.pending) < 2 {
					ways = 4 // of a root there are not many: it lies in one sector
				}
				for way := range ways {
					p.try(d.image(way, p.random), fmt.Sprintf("call %d, way %d", i, way))
				}
			}
			if syncs++; !p.lies || syncs%3 > 0 {
				d.sync()
			}
		default:
			d.pending = append(d.pending, *c)
		}
	}
	p.try(p.disks[p.path].synced, "the end")
}

func (p *power) acknowledge(record string) {
	var what string
	var n uint64
	if _, err := fmt.Sscan(record, &what, &n); err != nil {
		p.t.Fatal(err)
	}
	p.acked[what] = n
}

// contents is what a disk holds: revisions and the cursor, or why it cannot be
// read.
type contents struct {
	has map[string]uint64
	err error
}

// try holds a disk to what was acknowledged before the power failed.
func (p *power) try(image []byte, what string) {
	p.count++
	sum := sha256.Sum256(image)
	c, ok := p.seen[sum]
	if !ok {
		c.has, c.err = p.look(image, len(p.seen)%50 == 0)
		p.seen[sum] = c
	}
	if c.err != nil {
		p.broken++
		p.problems = append(p.problems, fmt.Sprintf("%s: %v", what, c.err))
		return
	}
	for name, n := range p.acked {
		if c.has[name] < n {
			p.problems = append(p.problems, fmt.Sprintf("%s: %s stands at %d, acknowledged was %d", what, name, c.has[name], n))
		}
	}
}

// look opens a disk, reads all of it and, if asked, goes on from there.
func (p *power) look(image []byte, goOn bool) (has map[string]uint64, err error) {
	path := filepath.Join(filepath.Dir(p.path), "image.db")
	if err := os.WriteFile(path, image, 0o600); err != nil {
		p.t.Fatal(err)
	}
	db, err := bolt.Open(p.t.Context(), bolt.Options{Path: path})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	has = map[string]uint64{}
	events := map[string]uint64{}
	for e, err := range db.Events(p.t.Context(), "") {
		if err != nil {
			return nil, err
		}
		name, _, _ := strings.Cut(strings.TrimPrefix(e.ID, "jw1-"), "-")
		if want := fmt.Sprintf("jw1-%s-%d-%d", name, events[name]/2+1, events[name]%2); e.ID != want {
			return nil, fmt.Errorf("event is %s, want %s", e.ID, want)
		}
		events[name]++
	}
	for i := range powerEndpoints {
		name := fmt.Sprint("e", i)
		if has[name], err = snapshots(p.t.Context(), db, name); err != nil {
			return nil, err
		}
		if events[name] != 2*has[name] {
			return nil, fmt.Errorf("%s has revision %d and %d events", name, has[name], events[name])
		}
	}
	position, ok, err := db.Cursor(p.t.Context(), powerCursor)
	if err == nil && ok {
		has[powerCursor], err = strconv.ParseUint(position, 16, 64)
	}
	if err == nil && goOn {
		err = db.Commit(p.t.Context(), step("e0", has["e0"]+1, 2))
	}
	return has, err
}

// snapshots reads every record of an endpoint and returns the newest revision.
func snapshots(ctx context.Context, db *bolt.DB, name string) (uint64, error) {
	latest, err := db.Latest(ctx, name)
	if err != nil {
		return 0, err
	}
	next := latest.Revision
	for r, err := range db.Snapshots(ctx, name) {
		if err == nil && (r.Revision != next || sha256.Sum256(r.Body) != r.Digest) {
			err = fmt.Errorf("%s: revision is %d, want %d; or its body is another", name, r.Revision, next)
		}
		if err != nil {
			return 0, err
		}
		next--
	}
	if next != 0 {
		return 0, fmt.Errorf("%s has no snapshot before revision %d", name, next+1)
	}
	return latest.Revision, nil
}
