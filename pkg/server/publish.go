package server

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/oci-catalog/caib/pkg/api"
	"github.com/oci-catalog/caib/pkg/catalog"
	"github.com/oci-catalog/caib/pkg/entry"
	"github.com/oci-catalog/caib/pkg/internal/wire"
)

const (
	publishWithin = 5 * time.Minute
	maxWriting    = 16 // writes under way; more wait
)

// change is one write to the catalog on behalf of somebody.
type change struct {
	auditRecord
	wrote bool
}

// change lets a step write to the catalog, writes down what came of it, and
// makes the state show it. read is what the request says; it reports false after
// a failure, which is answered.
func (s *Server) change(w http.ResponseWriter, r *http.Request, c *change, read func() error, step func(context.Context) error) bool {
	c.by = who(r.Context())
	err := read()
	if err == nil {
		err = s.policyFailure()
	}
	if err == nil {
		err = s.writing(w, r, func(ctx context.Context) error {
			err := step(ctx)
			if c.wrote {
				_ = s.follower.refresh(ctx, s.follower.followed[0]) // else the next refresh shows it
			}
			return err
		})
	}
	s.audit(r.Context(), requestID(w), c.auditRecord, err)
	s.metrics.published(c.auditRecord, err)
	if err != nil {
		s.fail(w, r, err)
	}
	return err == nil
}

// writing takes a turn to write, which may take its time.
func (s *Server) writing(w http.ResponseWriter, r *http.Request, step func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(r.Context(), publishWithin)
	defer cancel()
	patiently(w, publishWithin)
	select {
	case s.writes <- struct{}{}:
		defer func() { <-s.writes }()
		return step(ctx)
	case <-ctx.Done():
		return ctx.Err()
	}
}

// optionsOf returns what somebody says of an image, if it makes sense.
func optionsOf(d *api.Details, who string) (catalog.PublishOptions, error) {
	options := wire.Options(d)
	options.Author = who
	if d.Digest != "" && d.Digest.Validate() != nil {
		return options, fmt.Errorf("%w: digest: want sha256: and 64 hexadecimal digits", entry.ErrInvalid)
	}
	return options, nil
}

// create answers POST /v1/catalog/images.
func (s *Server) create(w http.ResponseWriter, r *http.Request) {
	var request api.AddRequest
	s.publication(w, r, "add", &request, func(ctx context.Context, d *auditRecord) (catalog.PublishResult, error) {
		d.name = printable(request.Name)
		options, err := optionsOf(&request.Details, who(ctx))
		if err == nil {
			err = s.mayPublish(request.RegistryURL, request.Disk)
		}
		if err == nil {
			d.digest, err = options.Digest.String(), entry.CheckName(request.Name)
		}
		if err != nil {
			return catalog.PublishResult{}, err
		}
		return s.writable().Add(ctx, request.Name, request.RegistryURL, options)
	})
}

// publish answers POST /v1/catalog/publish.
func (s *Server) publish(w http.ResponseWriter, r *http.Request) {
	var request api.PublishRequest
	s.publication(w, r, "publish", &request, func(ctx context.Context, d *auditRecord) (catalog.PublishResult, error) {
		d.name = printable(cmp.Or(request.Name, request.CatalogImageName, request.ImageBuildName, request.ImageBuild.Name, request.Image))
		options, err := optionsOf(&request.Details, who(ctx))
		if err == nil {
			err = s.mayPublish(request.Image, request.Disk)
		}
		if err != nil {
			return catalog.PublishResult{}, err
		}
		d.digest = options.Digest.String()
		switch {
		case (request.ImageBuildName == "") == (request.Image == ""):
			return catalog.PublishResult{}, fmt.Errorf("%w: body: want either imageBuildName or image", entry.ErrInvalid)
		case request.Image != "" && request.CatalogImageName != "":
			return catalog.PublishResult{}, fmt.Errorf("%w: body: catalogImageName is for imageBuildName: want name", entry.ErrInvalid)
		case request.ImageBuildName != "" && request.Name != "":
			return catalog.PublishResult{}, fmt.Errorf("%w: body: name is for image: want catalogImageName", entry.ErrInvalid)
		case request.Image != "":
			options.Name = request.Name
			return s.writable().Publish(ctx, request.Image, options)
		}
		build, err := s.ofBuild(request.ImageBuildName)
		if err == nil {
			err = s.mayPublish(build.subject.reference)
		}
		if err != nil {
			return catalog.PublishResult{}, err
		}
		options.Name = request.CatalogImageName
		return s.writable().Republish(ctx, build.name(), options)
	})
}

// writable is the catalog that is written to.
func (s *Server) writable() source { return s.follower.followed[0].catalog }

// ofBuild finds the entry that a build is published as, in the catalog that is
// written to.
func (s *Server) ofBuild(build string) (*servedEntry, error) {
	now := s.state.Load()
	if now == nil {
		return nil, errNoIndex
	}
	for _, i := range now.entries {
		if i.subject.imageBuild == build && i.outline.Catalog == s.follower.label(s.follower.followed[0]) {
			return i, nil
		}
	}
	return nil, fmt.Errorf("build %q: %w in the catalog", printable(build), entry.ErrNotFound)
}

// publication reads the body, publishes, and answers what came of it.
func (s *Server) publication(w http.ResponseWriter, r *http.Request, action string, request any, step func(context.Context, *auditRecord) (catalog.PublishResult, error)) {
	var result catalog.PublishResult
	c := change{auditRecord: auditRecord{action: action}}
	read := func() error {
		if _, err := parseValues(r.URL.RawQuery, nil); err != nil {
			return err
		}
		return readBody(w, r, request)
	}
	done := s.change(w, r, &c, read, func(ctx context.Context) (err error) {
		result, err = step(ctx, &c.auditRecord)
		c.name, c.digest = cmp.Or(result.Item.Name, c.name), cmp.Or(string(result.Item.Digest), c.digest)
		c.outcome, c.moved = string(result.Outcome), result.MovedFrom
		c.wrote = result.Outcome == catalog.Published
		return err
	})
	if !done {
		return
	}
	status := http.StatusOK
	if c.wrote {
		status = http.StatusCreated
	}
	if result.Outcome != catalog.Planned {
		w.Header().Set("Location", imagePath+result.Item.Name)
	}
	s.respond(w, withoutSecret(r, request), status, wire.Publication(result))
}

// remove answers DELETE /v1/catalog/images/{name}.
func (s *Server) remove(w http.ResponseWriter, r *http.Request) {
	var removed catalog.RemoveResult
	var options catalog.RemoveOptions
	name := r.PathValue("name")
	c := change{auditRecord: auditRecord{action: "remove", name: name}}
	read := func() error {
		values, err := parseValues(r.URL.RawQuery, nil, "reason")
		options = catalog.RemoveOptions{Reason: values.Get("reason"), Author: who(r.Context())}
		return err
	}
	done := s.change(w, r, &c, read, func(ctx context.Context) (err error) {
		removed, err = s.writable().Remove(ctx, name, options)
		c.digest, c.outcome, c.wrote = string(removed.Event.Ends), "removed", err == nil
		return s.elsewhere(name, err)
	})
	switch {
	case !done:
	case strings.Contains(r.Header.Get("Prefer"), "return=representation"):
		s.respond(w, r, http.StatusOK, api.Removal{Event: removed.Event, Warnings: removed.Warnings})
	default:
		w.WriteHeader(http.StatusNoContent)
	}
}

// served returns the live entry with a name, or nil.
func (s *Server) served(name string) *servedEntry {
	if now := s.state.Load(); now != nil {
		return now.byName[name]
	}
	return nil
}
