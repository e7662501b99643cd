// Package configs loads, checks and explains the YAML configuration.
//
// A bad file is refused whole, with every problem at once and a cure for each.
// Nothing is guessed at: an unknown or repeated key is an error, and so is a
// key of a feature that is not built. Text is taken as it is written, so 0123
// stays 0123. One catalogue of fields (catalogue.go) drives the decoder, the
// reference in README.md and the effective configuration.
package configs

import (
	"crypto/sha256"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"
)

// Caps of the reader.
const (
	MaxFile      = 4 << 20  // octets of a configuration file
	MaxExpansion = 64 << 10 // octets of a value after expansion, and of a file that ${file:} names
	maxDepth     = 16       // of nested mappings and lists
	maxProblems  = 1000     // that are told of one file
)

// Config is a configuration that was checked, with every default filled in.
type Config struct {
	State     State
	Poll      Poll
	Endpoints []Endpoint // at least one, in the order of the file
	Sinks     []Sink     // at least one, in the order of the file
	Observer  Observer

	// Digest is SHA-256 over Effective, so it does not depend on comments, on
	// the order of endpoints and sinks or on the value of any secret.
	Digest [sha256.Size]byte
	// Warnings are things that work and are probably not meant, sorted by
	// position.
	Warnings []Problem
}

// State says where the agent keeps what it saw.
type State struct {
	Path   string
	Retain time.Duration // at least one day
}

// Poll holds the defaults of all endpoints.
type Poll struct {
	Interval time.Duration // at least 1 s
	Timeout  time.Duration // of a whole request, at least 1 s
	MaxBody  int64         // octets, 1 KiB to 64 MiB
}

// Endpoint is one thing to watch. Its identity is its name.
type Endpoint struct {
	Name         string
	JWKSURI      string // http or https, no userinfo, no fragment
	Tier         string // low, standard or critical
	Owner        string
	Group        string
	Labels       map[string]string // nil when there are none
	Poll                           // the endpoint's own or the defaults
	Headers      map[string]Secret // by canonical name; nil when there are none
	AllowPrivate bool
}

// Sink says where events go.
type Sink struct {
	Name   string
	Type   string // TypeLog or TypeNATS
	From   string // FromNow or FromBeginning
	Format string // cloudevents
	NATS   *NATS  // nil unless Type is TypeNATS
}

// The types of sink, and where a new one starts in the journal.
const (
	TypeLog  = "log"
	TypeNATS = "nats"

	FromNow       = "now"
	FromBeginning = "beginning"
)

// NATS says how to reach JetStream. At most one kind of credentials is set.
type NATS struct {
	URL      string // nats:// or tls://, several separated by commas
	Stream   string
	Subject  string // prefix of subjects
	Manage   string // none, verify or create
	Insecure bool   // nats:// without TLS to a host that is not loopback

	CredentialsFile string
	NkeyFile        string
	TokenFile       string
	User            string
	PasswordFile    string
	TLS             TLS
}

// TLS holds the files of a TLS client. CertFile and KeyFile go together.
type TLS struct {
	CAFile         string
	CertFile       string
	KeyFile        string
	HandshakeFirst bool // TLS before the server's first word
}

// Observer says in each event who saw it.
type Observer struct {
	Name    string
	Vantage string
}

// Options are what the reader takes from outside. The zero value is the real
// thing.
type Options struct {
	// Dir is the directory that relative paths are relative to; "" means that
	// of the file.
	Dir string
	// LookupEnv finds an environment variable; nil means os.LookupEnv.
	LookupEnv func(name string) (string, bool)
	// ReadFile reads a file that ${file:} names; nil means from the disk. An
	// answer over MaxExpansion octets is refused.
	ReadFile func(path string) ([]byte, error)
}

// Load reads and checks the file. The error is an Errors when the file could be
// read and is wrong; otherwise it wraps what went wrong with reading. Paths in
// the result are absolute.
func Load(path string) (*Config, error) {
	dir, err := filepath.Abs(filepath.Dir(path))
	if err != nil {
		return nil, fmt.Errorf("finding the directory of %s: %w", path, err)
	}
	// One octet over the cap is read, so that Parse sees that there is more.
	src, err := readFile(path, MaxFile+1)
	if err != nil {
		return nil, fmt.Errorf("reading the configuration: %w", err)
	}
	return Parse(path, src, Options{Dir: dir})
}

// Parse checks a configuration. The name stands in problems and, without
// Options.Dir, its directory is the one that relative paths are relative to.
// The error is always an Errors.
func Parse(name string, src []byte, o Options) (*Config, error) {
	if o.Dir == "" {
		o.Dir = filepath.Dir(name)
	}
	if o.LookupEnv == nil {
		o.LookupEnv = os.LookupEnv
	}
	if o.ReadFile == nil {
		o.ReadFile = func(path string) ([]byte, error) { return readFile(path, MaxExpansion+1) }
	}
	d := &decoder{file: name, options: o}
	c := &Config{}
	if root := d.document(src); root != nil {
		d.config(c, root)
	}
	if len(d.errs) > 0 {
		return nil, d.told()
	}
	sortProblems(d.warnings)
	c.Warnings = d.warnings
	c.Digest = sha256.Sum256(c.Effective())
	return c, nil
}

// told sorts the problems and says so when they are not all.
func (d *decoder) told() Errors {
	sortProblems(d.errs)
	if len(d.errs) >= maxProblems {
		last := d.errs[len(d.errs)-1]
		d.at(last.Line, last.Col, fmt.Sprintf("only %d problems are told, there may be more", maxProblems), "mend these and check again")
	}
	return d.errs
}

func readFile(path string, limit int64) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, limit))
}
