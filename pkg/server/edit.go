package server

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"mime"
	"net/http"
	"strings"

	"github.com/opencontainers/go-digest"

	"github.com/oci-catalog/caib/pkg/api"
	"github.com/oci-catalog/caib/pkg/catalog"
	"github.com/oci-catalog/caib/pkg/entry"
	"github.com/oci-catalog/caib/pkg/internal/wire"
)

const patchTypes = "application/merge-patch+json, application/json"

// edit answers PATCH /v1/catalog/images/{name}.
func (s *Server) edit(w http.ResponseWriter, r *http.Request) {
	var edited entry.Change
	var options catalog.EditOptions
	var result catalog.PublishResult
	name := r.PathValue("name")
	c := change{auditRecord: auditRecord{action: "edit", name: name}}
	read := func() (err error) {
		edited, options, err = readEdit(w, r)
		return err
	}
	done := s.change(w, r, &c, read, func(ctx context.Context) (err error) {
		result, err = s.writable().Edit(ctx, name, edited, options)
		c.digest, c.outcome = string(result.Item.Digest), string(result.Outcome)
		_, moved := errors.AsType[*catalog.ConflictError](err)
		c.wrote = result.Outcome == catalog.Published || moved // who reads it again sees what is live
		return s.elsewhere(name, err)
	})
	if done {
		s.respond(w, r, http.StatusOK, wire.Publication(result))
	}
}

// readEdit reads what a request to edit says.
func readEdit(w http.ResponseWriter, r *http.Request) (change entry.Change, options catalog.EditOptions, err error) {
	values, err := parseValues(r.URL.RawQuery, nil, "dry-run")
	if err != nil {
		return change, options, err
	}
	if err := parseBool(values, "dry-run", &options.DryRun); err != nil {
		return change, options, err
	}
	options.Author = who(r.Context())
	if options.Match, err = revisionOf(r.Header); err != nil {
		return change, options, err
	}
	kind, _, err := mime.ParseMediaType(cmp.Or(r.Header.Get("Content-Type"), "application/json"))
	if err != nil || kind != "application/merge-patch+json" && kind != "application/json" {
		w.Header().Set("Accept-Patch", patchTypes)
		return change, options, problem(http.StatusUnsupportedMediaType, "invalid", "want a body of one of the types "+patchTypes)
	}
	var patch api.Patch
	if err := readBody(w, r, &patch); err != nil {
		return change, options, err
	}
	if patch == nil {
		return change, options, fmt.Errorf("%w: body: no JSON object", entry.ErrInvalid)
	}
	change, err = patch.Change()
	return change, options, err
}

// revisionOf returns the revision that a request is about, by its header If-Match; ""
// for whichever is live.
func revisionOf(header http.Header) (digest.Digest, error) {
	text := strings.TrimSpace(strings.Join(header.Values("If-Match"), ","))
	if text == "" || text == "*" {
		return "", nil
	}
	if unquoted, quoted := strings.CutPrefix(text, `"`); quoted {
		text = strings.TrimSuffix(unquoted, `"`)
	}
	revision := digest.Digest(text)
	if revision.Validate() != nil {
		return "", fmt.Errorf("%w: If-Match: want the member revision of the item, not its ETag", entry.ErrInvalid)
	}
	return revision, nil
}

// elsewhere says of an entry that is not in the catalog that is written to in which one
// it is.
func (s *Server) elsewhere(name string, err error) error {
	if i := s.served(name); errors.Is(err, entry.ErrNotFound) && i != nil && i.outline.Catalog != "" {
		return fmt.Errorf("%w: it is in %s, and this server writes to %s only", err, i.outline.Catalog, s.follower.followed[0].catalog.Reference())
	}
	return err
}
