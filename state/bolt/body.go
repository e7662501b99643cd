package bolt

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/klauspost/compress/zstd"
)

// maxBody is the largest document, in octets: above every max_body that can be
// configured with sense, and a bound for what a damaged frame can cost.
const maxBody = 64 << 20

// packer compresses bodies. It is safe for concurrent use.
type packer struct {
	enc *zstd.Encoder
	dec *zstd.Decoder
}

func newPacker() (*packer, error) {
	// One of each: a coder holds a megabyte or more, and documents are small.
	enc, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1), zstd.WithEncoderCRC(false), zstd.WithLowerEncoderMem(true))
	if err != nil {
		return nil, fmt.Errorf("making a zstd encoder: %w", err)
	}
	dec, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(maxBody))
	if err != nil {
		return nil, fmt.Errorf("making a zstd decoder: %w", err)
	}
	return &packer{enc, dec}, nil
}

func (p *packer) pack(body []byte) []byte {
	out := binary.BigEndian.AppendUint32(make([]byte, 0, 4+len(body)/2), uint32(len(body)))
	return p.enc.EncodeAll(body, out)
}

// unpack returns a body that is never nil and has the digest want.
func (p *packer) unpack(payload []byte, want [32]byte) ([]byte, error) {
	d := decoder{in: payload}
	size, frame := d.u32(), d.rest()
	if d.bad || size > maxBody {
		return nil, errors.New("body has no size")
	}
	body, err := p.dec.DecodeAll(frame, []byte{})
	if err != nil {
		return nil, fmt.Errorf("expanding body: %w", err)
	}
	if len(body) != int(size) || sha256.Sum256(body) != want {
		return nil, errors.New("body does not match its address")
	}
	return body, nil
}
