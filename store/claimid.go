package store

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"hash"
	"sync"

	"github.com/jackc/pgx/v5/pgxpool"
)

// claimRef is what a claim id says: which claim it is, and between which numbers of its queue its messages
// lie. The range bounds the search, because no index mentions a claim.
type claimRef struct {
	queueID int64
	// batch is the claim's random number; message rows carry it.
	batch       int64
	first, last int64
}

// A claim id is claimRef's four numbers, big-endian, and a MAC over them, in base64url: 48 bytes, 64 characters.
// The MAC keeps a client from widening the range or guessing another's claim.
const (
	claimRefBytes = 4 * 8
	claimMACBytes = 16
	claimIDLength = (claimRefBytes + claimMACBytes) / 3 * 4
)

// errClaimID says that a text is not a claim id which any gateway of this database has given out.
var errClaimID = errors.New("not a claim id")

// claimSigner writes and reads claim ids. It may be used concurrently.
type claimSigner struct {
	macs sync.Pool
}

func newClaimSigner(key []byte) *claimSigner {
	return &claimSigner{macs: sync.Pool{New: func() any { return hmac.New(sha256.New, key) }}}
}

// mac appends the MAC of ref to ref, whose capacity must have room for a whole SHA-256 sum.
func (s *claimSigner) mac(ref []byte) []byte {
	mac := s.macs.Get().(hash.Hash)
	mac.Reset()
	mac.Write(ref)
	sum := mac.Sum(ref)
	s.macs.Put(mac)
	return sum[:claimRefBytes+claimMACBytes]
}

// text returns the id of a claim.
func (s *claimSigner) text(ref claimRef) string {
	raw := make([]byte, 0, claimRefBytes+sha256.Size)
	raw = binary.BigEndian.AppendUint64(raw, uint64(ref.queueID))
	raw = binary.BigEndian.AppendUint64(raw, uint64(ref.batch))
	raw = binary.BigEndian.AppendUint64(raw, uint64(ref.first))
	raw = binary.BigEndian.AppendUint64(raw, uint64(ref.last))
	return base64.RawURLEncoding.EncodeToString(s.mac(raw))
}

// parse reads a claim id. Everything that text did not write gets errClaimID: 48 bytes leave base64 no spare
// bits, so each claim has exactly one spelling.
func (s *claimSigner) parse(id string) (claimRef, error) {
	if len(id) != claimIDLength {
		return claimRef{}, errClaimID
	}
	var buf [claimRefBytes + claimMACBytes]byte
	n, err := base64.RawURLEncoding.Decode(buf[:], []byte(id))
	if err != nil || n != len(buf) {
		return claimRef{}, errClaimID
	}
	want := s.mac(append(make([]byte, 0, claimRefBytes+sha256.Size), buf[:claimRefBytes]...))
	if !hmac.Equal(want, buf[:]) {
		return claimRef{}, errClaimID
	}
	return claimRef{
		queueID: int64(binary.BigEndian.Uint64(buf[0:])),
		batch:   int64(binary.BigEndian.Uint64(buf[8:])),
		first:   int64(binary.BigEndian.Uint64(buf[16:])),
		last:    int64(binary.BigEndian.Uint64(buf[24:])),
	}, nil
}

// claimKeyName is the row of table secret with the key of the claim ids' MAC.
const claimKeyName = "claim-id-hmac-sha256"

// claimKeyring loads the signer on first use, so that a gateway can start while its database is away.
type claimKeyring struct {
	pool *pgxpool.Pool

	mu     sync.Mutex
	loaded *claimSigner
}

// signer returns the signer, loading its key if that has not been done. Two first callers may load it both;
// they get the same key.
func (k *claimKeyring) signer(ctx context.Context) (*claimSigner, error) {
	if signer := k.known(); signer != nil {
		return signer, nil
	}
	key, err := loadSecret(ctx, k.pool, claimKeyName)
	if err != nil {
		return nil, err
	}
	signer := newClaimSigner(key)
	k.mu.Lock()
	k.loaded = signer
	k.mu.Unlock()
	return signer, nil
}

// known returns the signer if it is loaded, else nil.
func (k *claimKeyring) known() *claimSigner {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.loaded
}
