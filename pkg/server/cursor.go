package server

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"encoding/binary"
	"encoding/hex"
	"strconv"
	"strings"

	"github.com/oci-catalog/caib/pkg/internal/health"
)

// cursor is the place of a listener.
type cursor struct {
	after uint64                // sequence number of the last event that it knows of
	lost  bool                  // it is to begin anew
	seen  func(health.Key) bool // what it may see; nil is everything
}

// seenBy returns which entries' events whoever made a request may see; nil is all.
func (s *Server) seenBy(ctx context.Context) func(health.Key) bool {
	sc := s.scopeOf(ctx)
	if sc == nil {
		return nil
	}
	return func(key health.Key) bool { return s.follower.sees(sc, key) }
}

func newSeal() cipher.Block {
	var key [16]byte
	_, _ = rand.Read(key[:]) // never fails
	block, err := aes.NewCipher(key[:])
	if err != nil {
		panic("server: " + err.Error()) // only keys of another size
	}
	return block
}

// id is the line that tells a listener where it is. Who may not see all events is not
// told their number either, nor, by one id for one place, whether there were any.
func (e *events) id(of cursor, sequence uint64) string {
	text := strconv.FormatUint(sequence, 10)
	if of.seen != nil {
		var block [aes.BlockSize]byte
		binary.BigEndian.PutUint64(block[:], sequence)
		_, _ = rand.Read(block[8:12]) // never fails
		e.seal.Encrypt(block[:], block[:])
		text = hex.EncodeToString(block[:])
	}
	return "id: " + e.epoch + text + "\n"
}

// resume reads the header with which a listener says where it was, and notes what it
// may see.
func (e *events) resume(id string, seen func(health.Key) bool) cursor {
	e.mu.Lock()
	defer e.mu.Unlock()
	at := cursor{after: e.latest(), seen: seen}
	if id == "" {
		return at
	}
	text, ours := strings.CutPrefix(id, e.epoch)
	known := ours && len(id) <= maxEventID
	if seen == nil {
		sequence, err := strconv.ParseUint(text, 10, 64)
		at.after, known = sequence, known && err == nil
	} else {
		block, err := hex.DecodeString(text)
		if known = known && err == nil && len(block) == aes.BlockSize; known {
			e.seal.Decrypt(block, block)
			at.after, known = binary.BigEndian.Uint64(block), binary.BigEndian.Uint32(block[12:]) == 0
		}
	}
	at.lost = !known || !e.keeps(at.after)
	return at
}

// keeps reports whether all events after one are there. The caller holds the lock.
func (e *events) keeps(after uint64) bool { return e.first <= after+1 && after <= e.latest() }

// next returns some events after a place, and the place after them: a reset if not all
// of them are kept any more. Of those that the listener may not see, only the place
// moves on. There are none before change is closed; ended tells that none will come.
func (e *events) next(at cursor) (batch []string, then cursor, change <-chan struct{}, ended bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	then = cursor{after: e.latest(), seen: at.seen}
	if at.lost || !e.keeps(at.after) {
		return []string{e.id(at, e.latest()) + "event: reset\ndata: {}\n\n"}, then, e.change, e.closed
	}
	from := at.after + 1 - e.first
	kept := e.kept[from:]
	kept = kept[:min(len(kept), eventBatch)]
	then.after = at.after + uint64(len(kept))
	if at.seen == nil {
		return kept, then, e.change, e.closed
	}
	for n, text := range kept {
		if at.seen(e.keys[from+uint64(n)]) {
			_, rest, _ := strings.Cut(text, "\n")
			batch = append(batch, e.id(at, at.after+uint64(n)+1)+rest)
		}
	}
	return batch, then, e.change, e.closed
}
