package registry

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/oci-catalog/caib/pkg/entry"
)

// systemContainers is where the files of podman and its kin are on every machine.
const systemContainers = "/etc/containers"

// passedOverFor is how long a place that did not answer is asked after all others.
const passedOverFor = time.Minute

// placeRules say where images can be had besides where they were published.
type placeRules struct {
	once    sync.Once
	rules   []registryRule
	err     error
	mirrors []endpointRule

	mu      sync.Mutex
	lenient map[bool]*Client // that accept any certificate; true: and use plain HTTP
	nobody  *Client          // that has no login
}

// place is where an image can be had.
type place struct {
	ref       Reference
	insecure  bool
	anonymous bool // it is shown no login
}

// Places returns where an image can be had, in the order in which OpenMirrored asks:
// by Options.Mirrors, by the mirrors of registries.conf, in copies that the caller
// knows of, and then where its reference says, or where registries.conf has moved
// that. Each has the digest of the reference, and no tag. Nothing is asked. An image
// that registries.conf blocks, and a file of CONTAINERS_REGISTRIES_CONF that is wrong,
// are an entry.ErrInvalid.
func (c *Client) Places(ref Reference, copies ...Reference) ([]Reference, error) {
	places, err := c.places(ref, copies)
	refs := make([]Reference, len(places))
	for n, place := range places {
		refs[n] = place.ref
	}
	return refs, err
}

// places returns the places of an image, the origin last.
func (c *Client) places(ref Reference, copies []Reference) ([]place, error) {
	all, origin, err := c.configured(ref)
	if err != nil {
		return nil, err
	}
	for _, at := range copies {
		if at.Normal().Base() == origin.ref.Normal().Base() {
			continue
		}
		at.Tag, at.Digest = "", ref.Digest
		all = appendPlace(all, place{ref: at})
	}
	return appendPlace(all, origin), nil
}

// appendPlace adds a place, unless it is there.
func appendPlace(all []place, at place) []place {
	if slices.ContainsFunc(all, func(p place) bool { return p.ref.Normal().Base() == at.ref.Normal().Base() }) {
		return all
	}
	return append(all, at)
}

// configured returns the places of an image that the reader named, and its origin.
func (c *Client) configured(ref Reference) (all []place, origin place, err error) {
	if ref.Layout != "" {
		ref.Tag = ""
		return nil, place{ref: ref}, nil
	}
	c.mirroring.once.Do(func() {
		set, found := registriesFiles(c.options.Getenv, systemContainers)
		c.mirroring.rules, c.mirroring.err = readRegistries(set, found, func(err error) {
			c.options.Logger.Warn(fmt.Sprintf("mirrors are not known: %v", err))
		})
	})
	if c.mirroring.err != nil {
		return nil, place{}, c.mirroring.err
	}
	repository := ref.Normal().Base()
	add := func(rule *endpointRule, matched int) error {
		at, err := rule.rewritten(ref, matched)
		if err == nil {
			all = appendPlace(all, place{ref: at, insecure: rule.insecure})
		}
		return err
	}
	for n := range c.mirroring.mirrors {
		rule := &c.mirroring.mirrors[n]
		if matched := matches(rule.prefix, repository); matched >= 0 {
			if err := add(rule, matched); err != nil {
				return nil, place{}, &Error{Option: "Mirrors", Err: err}
			}
		}
	}
	rule, matched := longestMatch(c.mirroring.rules, repository)
	if rule == nil {
		rule = &registryRule{}
	}
	if rule.blocked {
		return nil, place{}, fmt.Errorf("%w: %s: %s blocks %s", entry.ErrInvalid, repository, rule.file, rule.prefix)
	}
	for _, from := range rule.mirrors {
		if err := add(&from, matched); err != nil {
			return nil, place{}, fmt.Errorf("%s: %w", rule.file, err)
		}
	}
	origin.insecure = rule.from.insecure
	if origin.ref, err = rule.from.rewritten(ref, max(matched, 0)); err != nil {
		return nil, place{}, fmt.Errorf("%s: %w", rule.file, err)
	}
	return all, origin, nil
}

// OpenMirrored opens the repository that ref names for reading by digest. Each of
// its places is asked in turn until one has what is wanted (see Places); what else is
// asked, such as what a tag names, the last of them is. That a mirror has nothing is
// no news; of any other failure of it, Options.Logger is warned once.
func (c *Client) OpenMirrored(ref Reference, copies ...Reference) (Repository, error) {
	places, err := c.places(ref, copies)
	if err != nil {
		return nil, err
	}
	return c.openPlaces(places)
}

// OpenAnonymously is OpenMirrored for a reference that nobody vouches for: what it names
// itself is asked without login and client certificate. Copies and the places that
// Options or registries.conf name in its place are asked as by OpenMirrored.
func (c *Client) OpenAnonymously(ref Reference, copies ...Reference) (Repository, error) {
	places, err := c.places(ref, copies)
	if err != nil {
		return nil, err
	}
	origin := &places[len(places)-1]
	origin.anonymous = origin.ref.Normal().Base() == ref.Normal().Base()
	return c.openPlaces(places)
}

func (c *Client) openPlaces(places []place) (Repository, error) {
	if len(places) == 1 && !places[0].insecure {
		opened, err := c.openPlace(places[0])
		if err != nil {
			return nil, err
		}
		return opened.repository, nil
	}
	m := &mirrored{client: c, trails: map[string]*trail{}}
	for _, at := range places {
		opened, err := c.openPlace(at)
		if err != nil {
			return nil, err
		}
		m.places = append(m.places, opened)
	}
	m.Repository = m.places[len(m.places)-1].repository
	return m, nil
}

func (c *Client) openPlace(at place) (*placed, error) {
	made := &placed{base: at.ref.Base()}
	if at.anonymous {
		nobody, err := c.anonymously()
		if err != nil {
			return nil, err
		}
		c = nobody
	}
	if !at.insecure {
		var err error
		made.repository, err = c.Open(at.ref)
		return made, err
	}
	for _, plain := range []bool{false, true} {
		client, err := c.leniently(plain)
		if err != nil {
			return nil, err
		}
		opened, err := client.Open(at.ref)
		if err != nil {
			return nil, err
		}
		if plain {
			made.plain = opened
		} else {
			made.repository = opened
		}
	}
	return made, nil
}

// leniently returns the client for places that are insecure by registries.conf.
func (c *Client) leniently(plain bool) (*Client, error) {
	c.mirroring.mu.Lock()
	defer c.mirroring.mu.Unlock()
	if known := c.mirroring.lenient[plain]; known != nil {
		return known, nil
	}
	options := c.options
	options.InsecureTLS, options.Mirrors = true, nil
	if plain {
		options.PlainHTTP = func(string) bool { return true }
	}
	made, err := newClient(options)
	if err != nil {
		return nil, err
	}
	if c.mirroring.lenient == nil {
		c.mirroring.lenient = map[bool]*Client{}
	}
	c.mirroring.lenient[plain] = made
	return made, nil
}

// anonymously returns the client that has no login.
func (c *Client) anonymously() (*Client, error) {
	c.mirroring.mu.Lock()
	defer c.mirroring.mu.Unlock()
	if c.mirroring.nobody != nil {
		return c.mirroring.nobody, nil
	}
	options := c.options
	options.Mirrors, options.anonymous = nil, true
	options.Credentials = func(context.Context, string, string) (Account, error) { return Account{}, nil }
	made, err := newClient(options)
	if err == nil {
		c.mirroring.nobody = made
	}
	return made, err
}

// placed is a place that is open.
type placed struct {
	base       string
	repository Repository
	plain      Repository // the same by plain HTTP, where there is no TLS; nil is none
}

// ask asks a place.
func (p *placed) ask(question func(Repository) error) error {
	err := question(p.repository)
	var answer *Error
	if p.plain != nil && errors.As(err, &answer) && answer.Cause == CausePlainHTTP {
		return question(p.plain)
	}
	return err
}

// passOver remembers that a place did not answer.
func (c *Client) passOver(ctx context.Context, p *placed, err error) {
	if ctx.Err() == nil && (errors.Is(err, entry.ErrUnreachable) || errors.Is(err, entry.ErrTimeout)) {
		c.passedOver.Add(p.base, time.Now())
	}
}

// isPassedOver reports whether a place did not answer a short while ago.
func (c *Client) isPassedOver(p *placed) bool {
	at, found := c.passedOver.Get(p.base)
	return found && time.Since(at) < passedOverFor
}
