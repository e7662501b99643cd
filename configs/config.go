// Package configs loads, checks and explains the YAML configuration.
//
// A bad file is refused whole, with every problem at once and a cure for each.
// Nothing is guessed at: an unknown or repeated key is an error, and so is a
// key of a feature that is not built. Text is taken as it is written, so 0123
// stays 0123. One catalogue of fields (catalogue.go) drives the decoder, the
// reference in README.md, the effective configuration and its origins, the JSON
// Schema and the start file.
package configs

import (
	"cmp"
	"crypto/sha256"
	"time"
)

// Caps of the reader.
const (
	MaxFile      = 4 << 20  // octets of a configuration file
	MaxExpansion = 64 << 10 // octets of a value after expansion, and of a file that ${file:} names
	MaxPEM       = 1 << 20  // octets of a file with certificates or a key
	MaxSocket    = 107      // octets of the path of a unix socket: sun_path of Linux holds 108 with its NUL
	MinToken     = 16       // characters of a token of the web listener
	maxIncluded  = 1000     // files
	maxDepth     = 16       // of nested mappings and lists
	maxProblems  = 1000     // that are told at once
)

// Config is a configuration that was checked, with every default filled in.
type Config struct {
	State     State
	Poll      Poll
	Endpoints []Endpoint // at least one; those of the file in its order, then those of included files by path
	Sinks     []Sink     // at least one, in the same order
	Web       *Web       // nil for no listener
	Windows   []Window
	Rules     Rules
	Approvals Approvals
	// Compromised are keys that must never be trusted again.
	Compromised Compromised
	Observer    Observer
	Evidence    Evidence
	Drill       Drill

	// Digest is SHA-256 over Effective, so it does not depend on comments, on
	// the order of endpoints, sinks and included files or on the value of any
	// secret. A certificate counts by its content, a key and a token as being set.
	Digest [sha256.Size]byte
	// Warnings are things that work and are probably not meant, sorted by
	// position.
	Warnings []Problem
	// Files are all files that the result depends on, the configuration itself
	// first, then by path.
	Files []File
	// Fingerprint is what the function Fingerprint returned when the files were
	// as they were read for this Config.
	Fingerprint [sha256.Size]byte

	include []string // as written, for Explain
	origins map[string]origin
}

// File is a file that was read.
type File struct {
	Path string
	// Sum identifies the content, and is comparable within this process only: it
	// is keyed with a random key, so that nobody can try short secrets against it.
	Sum [sha256.Size]byte
}

// State says where the agent keeps what it saw.
type State struct {
	Path   string
	Retain time.Duration // at least one day
	Backup Backup
}

// Backup says how the agent keeps copies of its state.
type Backup struct {
	Every time.Duration // at least one hour; 0 for never
	Keep  int64         // how many
	Dir   string        // "" for the folder of the state
}

// Socket is the path of the control socket, beside the state file. It is never
// longer than MaxSocket octets in a configuration that was accepted.
func (s State) Socket() string { return s.Path + ".sock" }

// Poll holds the defaults of all endpoints.
type Poll struct {
	Interval time.Duration // at least 1 s
	Timeout  time.Duration // of a whole request, at least 1 s
	MaxBody  int64         // octets, 1 KiB to 64 MiB
	// MaxEvents is how many events an hour an endpoint may tell one by one.
	MaxEvents int64
	Proxy     string // http://host:port or https://host:port; "" for none
}

// Endpoint is one thing to watch. Its identity is its name. It has an Issuer,
// whose discovery document leads to the key set, or a JWKSURI, never both.
type Endpoint struct {
	Name         string
	Issuer       string // http or https, no userinfo, query or fragment
	JWKSURI      string // http or https, no userinfo, no fragment
	Tier         string // low, standard or critical
	Owner        string
	Group        string
	Labels       map[string]string // nil when there are none
	Poll                           // the endpoint's own or the defaults
	Headers      map[string]Secret // by canonical name; nil when there are none
	TLS          EndpointTLS
	AllowPrivate bool
	Redirects    string // none or same-host
	Addresses    string // any or each
	Expect       Expect
	Learn        string // on or off
}

// EndpointTLS is whom an endpoint must prove to be, and who asks. The files were
// read and checked; nobody needs to read them again. Cert and Key go together.
type EndpointTLS struct {
	CA   []byte   // PEM; trusted instead of the authorities of the system; nil for those
	Pins []string // sha256/ and the base64 of the SHA-256 of a SubjectPublicKeyInfo; as written
	Cert []byte   // PEM; the client certificate with its chain
	Key  KeyPEM   // nil when there is none

	CAFile, CertFile, KeyFile string // where they were read
}

// Web is the listener for metrics and health. Beyond loopback it has
// Cert, Key and Token.
type Web struct {
	Listen string // address:port or localhost:port; the port may be 0
	Cert   []byte // PEM; the certificate with its chain; nil for no TLS
	Key    KeyPEM // nil when there is none
	Token  Secret // what a request must bring; "" for nothing

	CertFile, KeyFile, TokenFile string // where they were read
}

// Sink says where events go.
type Sink struct {
	Name   string
	Type   string // TypeLog, TypeNATS, TypeFile, TypeSyslog or TypeWebhook
	From   string // FromNow or FromBeginning
	Format string // cloudevents, ocsf, ecs or cef
	// MinSeverity is what an event has at least; what must always arrive passes.
	MinSeverity string
	// MaxBacklog is how many events it may lack.
	MaxBacklog int64
	NATS       *NATS // nil unless Type is TypeNATS, and so on
	File       *FileSink
	Syslog     *SyslogSink
	Webhook    *WebhookSink
}

// The types of sink, and where a new one starts in the journal.
const (
	TypeLog     = "log"
	TypeNATS    = "nats"
	TypeFile    = "file"
	TypeSyslog  = "syslog"
	TypeWebhook = "webhook"

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

// Evidence says how checkpoints are signed.
type Evidence struct {
	Every   time.Duration // at least 10 s
	KeyFile string        // "" for SigningKey of the state
}

// SigningKey is the path of the key that signs checkpoints.
func (c *Config) SigningKey() string { return cmp.Or(c.Evidence.KeyFile, c.State.SigningKey()) }

// SigningKey is where the key is unless it is named: beside the state, so that no
// backup of the state has it.
func (s State) SigningKey() string { return s.Path + ".signing-key" }

// Drill says how often a test event is sent.
type Drill struct {
	Every    time.Duration // at least a minute; 0 for never
	Scenario string
}

// Observer says in each event who saw it.
type Observer struct {
	Name      string
	Vantage   string
	Heartbeat time.Duration // at least 1 s; 0 for none
}
