package sinks

import (
	"crypto/tls"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nkeys"
)

func (c *NATSConfig) tlsOptions() []nats.Option {
	if !c.secure() {
		return nil
	}
	options := []nats.Option{nats.Secure(&tls.Config{MinVersion: tls.VersionTLS12})}
	if c.CAFile != "" {
		options = append(options, nats.RootCAs(c.CAFile))
	}
	if c.CertFile != "" {
		options = append(options, nats.ClientCert(c.CertFile, c.KeyFile))
	}
	if c.HandshakeFirst {
		options = append(options, nats.TLSHandshakeFirst())
	}
	return options
}

func (c *NATSConfig) authOptions(stale func()) []nats.Option {
	switch {
	case c.CredentialsFile != "":
		return []nats.Option{nats.UserCredentials(c.CredentialsFile)}
	case c.NkeySeedFile != "":
		return []nats.Option{c.nkey(stale)}
	case c.TokenFile != "":
		return []nats.Option{probe(c.TokenFile), nats.TokenHandler(func() string {
			token, _ := secret(c.TokenFile) // an empty one is refused by the broker, and that is told
			return token
		})}
	case c.User != "":
		return []nats.Option{probe(c.PasswordFile), nats.UserInfoHandler(func() (string, string) {
			password, _ := secret(c.PasswordFile)
			return c.User, password
		})}
	}
	return nil
}

// nkey signs with the seed of the file. The public key is fixed for the life of
// a connection in nats.go, so a rotated seed needs a new one: stale says so.
func (c *NATSConfig) nkey(stale func()) nats.Option {
	return func(o *nats.Options) error {
		pair, public, err := nkeyPair(c.NkeySeedFile)
		if err != nil {
			return err
		}
		pair.Wipe()
		return nats.Nkey(public, func(nonce []byte) ([]byte, error) {
			pair, now, err := nkeyPair(c.NkeySeedFile)
			if err != nil {
				return nil, err
			}
			defer pair.Wipe()
			if now != public {
				stale()
				return nil, errors.New("the nkey seed file holds another key; connecting anew with it")
			}
			return pair.Sign(nonce)
		})(o)
	}
}

func nkeyPair(file string) (nkeys.KeyPair, string, error) {
	seed, err := secret(file)
	if err != nil {
		return nil, "", err
	}
	pair, err := nkeys.ParseDecoratedUserNKey([]byte(seed))
	if err != nil {
		return nil, "", fmt.Errorf("%s holds no nkey seed of a user", file)
	}
	public, err := pair.PublicKey()
	if err != nil {
		return nil, "", fmt.Errorf("%s holds no nkey seed of a user", file)
	}
	return pair, public, nil
}

func probe(file string) nats.Option {
	return func(*nats.Options) error {
		_, err := secret(file)
		return err
	}
}

// secret reads a file with a secret in one line.
func secret(file string) (string, error) {
	b, err := os.ReadFile(file)
	if err != nil {
		return "", fmt.Errorf("reading a secret: %w", err)
	}
	s := strings.TrimRight(string(b), "\r\n")
	if s == "" {
		return "", fmt.Errorf("reading a secret: %s is empty", file)
	}
	return s, nil
}
