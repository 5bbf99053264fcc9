package server

import (
	"crypto/sha256"
	"encoding/base64"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/oci-catalog/caib/pkg/entry"
)

// position is what a continue token holds: the last entry of a page, as far as
// the order needs it, and the query that it belongs to. It means the same to
// every server, and after any change.
type position struct {
	Query   string `json:"q"`
	Created int64  `json:"t"` // Unix milliseconds
	Size    int64  `json:"s,omitempty"`
	Name    string `json:"n"`
	Catalog string `json:"c,omitempty"`
}

// fingerprint tells queries apart, whatever their limit and their spelling.
func (q *listQuery) fingerprint() string {
	filters := q.query
	filters.Limit = 0
	text, err := json.Marshal(struct {
		Query entry.Query
		AsOf  int64
	}{filters, q.asOf.UnixMilli()}, json.Deterministic(true))
	if err != nil {
		return ""
	}
	sum := sha256.Sum256(text)
	return base64.RawURLEncoding.EncodeToString(sum[:6])
}

// next is the token for the page after the one that ends with item.
func (q *listQuery) next(last *entry.Outline) string {
	text, err := json.Marshal(position{q.fingerprint(), last.CreatedAt.UnixMilli(), last.SizeBytes, last.Name, last.Catalog})
	if err != nil {
		return ""
	}
	return base64.RawURLEncoding.EncodeToString(text)
}

// resume reads a token.
func (q *listQuery) resume(token string) error {
	if token == "" {
		return nil
	}
	var p position
	text, err := base64.RawURLEncoding.Strict().DecodeString(token)
	if err == nil {
		err = json.Unmarshal(text, &p, json.RejectUnknownMembers(true))
	}
	if err != nil || entry.CheckName(p.Name) != nil {
		return badQuery("continue: not a token of this server")
	}
	if p.Query != q.fingerprint() {
		return badQuery("continue: the token belongs to another query")
	}
	q.after = &entry.Outline{Name: p.Name, Catalog: p.Catalog, SizeBytes: p.Size, CreatedAt: entry.NewTime(time.UnixMilli(p.Created))}
	return nil
}
