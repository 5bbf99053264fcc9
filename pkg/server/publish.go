package server

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/oci-catalog/caib/pkg/catalog"
	"github.com/oci-catalog/caib/pkg/entry"
)

const (
	maxBody       = 256 << 10 // bytes
	publishWithin = 5 * time.Minute
)

type whoKey struct{}

// authorised lets only those through who may publish.
func (s *Server) authorised(next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if s.options.Publisher == nil {
			s.fail(w, r, problem(http.StatusForbidden, "unauthorized", "this server is read-only: it was started without --allow-publish"))
			return
		}
		scheme, presented, _ := strings.Cut(r.Header.Get("Authorization"), " ")
		who, err := "", error(nil)
		if strings.EqualFold(scheme, "Bearer") {
			who, err = s.options.Tokens.who(strings.TrimSpace(presented))
		}
		if err != nil {
			s.log.Error("the tokens cannot be read: nobody may publish", "error", err.Error())
			s.fail(w, r, problem(http.StatusServiceUnavailable, "unreachable", "the server cannot tell who may publish"))
			return
		}
		if who == "" {
			s.audit(r.Context(), w, r.Method, "unknown", "", "", errors.New("refused: no token of ours"))
			w.Header().Set("WWW-Authenticate", `Bearer realm="caib catalog"`)
			s.fail(w, r, problem(http.StatusUnauthorized, "unauthorized", "publishing needs a bearer token that this server knows"))
			return
		}
		next(w, r.WithContext(context.WithValue(r.Context(), whoKey{}, who)))
	}
}

func who(ctx context.Context) string { name, _ := ctx.Value(whoKey{}).(string); return name }

// asked returns what a request of somebody says, if it makes sense.
func (d *Details) asked(who string) (catalog.PublishOptions, error) {
	options := d.options()
	options.Author = who
	if d.Digest != "" && d.Digest.Validate() != nil {
		return options, fmt.Errorf("%w: digest: want sha256: and 64 hexadecimal digits", entry.ErrInvalid)
	}
	return options, nil
}

// remote refuses a reference that would make the server read its own files.
func remote(reference string) error {
	if strings.HasPrefix(reference, "oci:") {
		return fmt.Errorf("%w: reference: a server publishes from registries only", entry.ErrInvalid)
	}
	return nil
}

// body reads a request's JSON object, all of whose members are known.
func body(w http.ResponseWriter, r *http.Request, into any) error {
	text, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	var long *http.MaxBytesError
	switch {
	case errors.As(err, &long):
		return problem(http.StatusRequestEntityTooLarge, "invalid", fmt.Sprintf("the body is longer than %d bytes", maxBody))
	case err != nil:
		return fmt.Errorf("%w: body: it ends early", entry.ErrInvalid)
	}
	if err := json.Unmarshal(text, into, json.RejectUnknownMembers(true)); err != nil {
		return fmt.Errorf("%w: body: %s", entry.ErrInvalid, malformed(err))
	}
	return nil
}

// malformed says what is wrong with a JSON text in terms of that text: the
// decoder's own words are about Go types, and change.
func malformed(err error) string {
	var member *json.SemanticError
	var syntax *jsontext.SyntacticError
	switch {
	case errors.As(err, &member) && errors.Is(err, json.ErrUnknownName):
		return fmt.Sprintf("there is no member %q", printable(string(member.JSONPointer)))
	case errors.As(err, &member):
		return fmt.Sprintf("the value of %q is of the wrong kind", printable(string(member.JSONPointer)))
	case errors.As(err, &syntax):
		return fmt.Sprintf("no JSON at byte %d, or a member given twice", syntax.ByteOffset)
	}
	return "no JSON object"
}

// create answers POST /v1/catalog/images.
func (s *Server) create(w http.ResponseWriter, r *http.Request) {
	var asked CreateRequest
	s.write(w, r, "add", &asked, func(ctx context.Context) (catalog.Result, error) {
		options, err := asked.asked(who(ctx))
		if err == nil {
			err = errors.Join(remote(asked.RegistryURL), entry.CheckName(asked.Name))
		}
		if err != nil {
			return catalog.Result{}, err
		}
		return s.options.Publisher.Add(ctx, asked.Name, asked.RegistryURL, options)
	})
}

// publish answers POST /v1/catalog/publish.
func (s *Server) publish(w http.ResponseWriter, r *http.Request) {
	var asked PublishRequest
	s.write(w, r, "publish", &asked, func(ctx context.Context) (catalog.Result, error) {
		options, err := asked.asked(who(ctx))
		if err != nil {
			return catalog.Result{}, err
		}
		options.Name = asked.Name
		if (asked.ImageBuildName == "") == (asked.Image == "") {
			return catalog.Result{}, fmt.Errorf("%w: body: want either imageBuildName or image", entry.ErrInvalid)
		}
		if asked.ImageBuildName != "" {
			if asked.Image, err = s.build(&asked, &options); err != nil {
				return catalog.Result{}, err
			}
		}
		if err := errors.Join(remote(asked.Image), remote(asked.Disk)); err != nil {
			return catalog.Result{}, err
		}
		return s.options.Publisher.Publish(ctx, asked.Image, options)
	})
}

// build finds the image of a build that an entry came from.
func (s *Server) build(asked *PublishRequest, options *catalog.PublishOptions) (image string, err error) {
	now := s.state.Load()
	if now == nil {
		return "", errNoIndex
	}
	for _, i := range now.images {
		if i.subject.imageBuild == asked.ImageBuildName {
			options.Name = asked.CatalogImageName
			if options.Name == "" {
				options.Name = i.name()
			}
			options.Source = entry.Source{Type: entry.SourceType(i.subject.sourceType), ImageBuild: i.subject.imageBuild, Schedule: i.outline.Schedule}
			options.Move = options.Move || options.Name != i.name()
			return i.subject.reference, nil
		}
	}
	return "", fmt.Errorf("build %q: %w in the catalog", printable(asked.ImageBuildName), entry.ErrNotFound)
}

// write reads the body, publishes, and answers once the server's own state
// shows the result.
func (s *Server) write(w http.ResponseWriter, r *http.Request, action string, asked any, step func(context.Context) (catalog.Result, error)) {
	if _, err := parseValues(r.URL.RawQuery, nil); err != nil {
		s.fail(w, r, err)
		return
	}
	if err := body(w, r, asked); err != nil {
		s.fail(w, r, err)
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), publishWithin)
	defer cancel()
	patiently(w, publishWithin)
	s.writing.Lock()
	defer s.writing.Unlock()
	result, err := step(ctx)
	s.audit(ctx, w, action, who(ctx), result.Item.Name, result.Item.Digest, err)
	s.metrics.published(action, err)
	if err != nil {
		s.fail(w, r, err)
		return
	}
	status := http.StatusOK
	if result.Outcome == catalog.Published {
		status = http.StatusCreated
		s.catchUp(ctx)
	}
	w.Header().Set("Location", imagePath+result.Item.Name)
	s.answer(w, r, status, NewPublication(result))
}

// catchUp makes the state show what was just written. If that fails, the next
// refresh will.
func (s *Server) catchUp(ctx context.Context) { _ = s.follower.refresh(ctx, s.follower.followed[0]) }

// remove answers DELETE /v1/catalog/images/{name}.
func (s *Server) remove(w http.ResponseWriter, r *http.Request) {
	values, err := parseValues(r.URL.RawQuery, nil, "reason")
	if err != nil {
		s.fail(w, r, err)
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), publishWithin)
	defer cancel()
	patiently(w, publishWithin)
	s.writing.Lock()
	defer s.writing.Unlock()
	name := r.PathValue("name")
	removed, warnings, err := s.options.Publisher.Remove(ctx, name, catalog.RemoveOptions{Reason: values.Get("reason"), Author: who(ctx)})
	s.audit(ctx, w, "remove", who(ctx), name, removed.Ends, err)
	s.metrics.published("remove", err)
	if err != nil {
		s.fail(w, r, err)
		return
	}
	s.catchUp(ctx)
	if !strings.Contains(r.Header.Get("Prefer"), "return=representation") {
		w.WriteHeader(http.StatusNoContent)
		return
	}
	s.answer(w, r, http.StatusOK, Removal{removed, warnings})
}

// answer writes an object that is not kept.
func (s *Server) answer(w http.ResponseWriter, r *http.Request, status int, value any) {
	text, err := marshal(value)
	if err != nil {
		s.fail(w, r, err)
		return
	}
	w.Header()["Content-Type"] = jsonType
	w.WriteHeader(status)
	if r.Method != http.MethodHead {
		_, _ = w.Write(text) // a client that went away needs no answer
	}
}
