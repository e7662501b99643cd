package main

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/jwkswatch/jwkswatch/evidence"
	"github.com/jwkswatch/jwkswatch/state/bolt"
)

// signingKey reads the key of the checkpoints, and makes one when there is none. It
// never leaves the host; its public half is in every checkpoint.
func signingKey(path string) (ed25519.PrivateKey, error) {
	key, err := readSigningKey(path)
	if !errors.Is(err, fs.ErrNotExist) {
		return key, err
	}
	_, key, err = ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("making the signing key: %w", err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, fmt.Errorf("making the signing key: %w", err)
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, fmt.Errorf("making the signing key: %w", err)
	}
	err = pem.Encode(f, &pem.Block{Type: "PRIVATE KEY", Bytes: der})
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return nil, errors.Join(fmt.Errorf("making the signing key: %w", err), os.Remove(path))
	}
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return nil, fmt.Errorf("making the signing key: %w", err)
	}
	return key, errors.Join(dir.Sync(), dir.Close())
}

func readSigningKey(path string) (ed25519.PrivateKey, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("reading the signing key: %w", err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, fmt.Errorf("reading the signing key: %w", err)
	}
	if info.Mode().Perm()&0o007 != 0 {
		return nil, fmt.Errorf("the signing key %s can be read or written by everybody on this host: chmod 600 it, or move it away to begin with another one", path)
	}
	b, err := io.ReadAll(io.LimitReader(f, 64<<10))
	if err != nil {
		return nil, fmt.Errorf("reading the signing key: %w", err)
	}
	block, _ := pem.Decode(b)
	if block == nil {
		return nil, fmt.Errorf("the signing key %s is not PEM; to begin with another one, move it away", path)
	}
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	key, ok := parsed.(ed25519.PrivateKey)
	if err != nil || !ok {
		return nil, fmt.Errorf("the signing key %s is no Ed25519 key in PKCS #8; to begin with another one, move it away", path)
	}
	return key, nil
}

// chains are the heads of all streams.
func (d *daemon) chains(ctx context.Context) ([]evidence.Head, error) { return headsOf(ctx, d.db) }

func headsOf(ctx context.Context, db *bolt.DB) ([]evidence.Head, error) {
	var out []evidence.Head
	for h, err := range db.Heads(ctx) {
		if err != nil {
			return nil, err
		}
		if h.Head.Sequence == 0 {
			continue
		}
		out = append(out, evidence.Head{
			Stream: h.Endpoint, Epoch: h.Head.Epoch, Sequence: h.Head.Sequence, Hash: "sha256:" + hex.EncodeToString(h.Head.Hash[:]),
		})
	}
	return out, nil
}
