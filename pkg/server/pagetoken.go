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
	Version string `json:"v,omitempty"`
	Name    string `json:"n"`
	Catalog string `json:"c,omitempty"`
}

// fingerprint tells queries apart, whatever their limit and their spelling. What
// older servers do not know is left out where it is not given, so that their
// tokens hold here and those of here there.
func (q *listQuery) fingerprint() string {
	type filters struct {
		Architecture, Distro, Target string
		Phase                        entry.Phase
		Tags                         []string
		Labels                       map[string]string
		Signed                       []entry.Verdict `json:",omitempty"`
		Sort                         entry.Sort
		Latest                       bool
		Limit                        int
		Targets                      []string `json:",omitempty"`
		Name, Search, Format, Image  string   `json:",omitempty"`
		Since                        int64    `json:",omitzero"`
		Versions, Facets             bool     `json:",omitzero"`
		Ages                         []string `json:",omitempty"`
	}
	f := &q.query
	said := filters{
		Architecture: f.Architecture, Distro: f.Distro, Phase: f.Phase, Tags: f.Tags, Labels: f.Labels, Signed: f.Signed, Sort: f.Sort, Latest: f.Latest,
		Name: f.Name, Search: f.Search, Format: f.Format, Image: q.image, Versions: f.Versions, Facets: q.facets, Ages: q.ages,
	}
	if len(f.Targets) == 1 {
		said.Target = f.Targets[0]
	} else {
		said.Targets = f.Targets
	}
	asOf := q.asOf
	if len(q.ages) > 0 {
		asOf = time.Time{} // what it is from moves on from page to page
	} else if !f.Since.IsZero() {
		said.Since = f.Since.UnixMilli()
	}
	text, err := json.Marshal(struct {
		Query filters
		AsOf  int64
	}{said, asOf.UnixMilli()}, json.Deterministic(true))
	if err != nil {
		return ""
	}
	sum := sha256.Sum256(text)
	return base64.RawURLEncoding.EncodeToString(sum[:6])
}

// next is the token for the page after the one that ends with item.
func (q *listQuery) next(last *entry.Outline) string {
	at := position{Query: q.fingerprint(), Created: last.CreatedAt.UnixMilli(), Size: last.SizeBytes, Name: last.Name, Catalog: last.Catalog}
	if q.query.Sort == entry.SortVersion {
		at.Version = last.Version
	}
	text, err := json.Marshal(at)
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
	q.after = &entry.Outline{Name: p.Name, Catalog: p.Catalog, Version: p.Version, SizeBytes: p.Size, CreatedAt: entry.NewTime(time.UnixMilli(p.Created))}
	return nil
}
