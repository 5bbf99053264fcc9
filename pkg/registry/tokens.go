package registry

import (
	"context"
	"slices"
	"strings"
	"sync"

	"oras.land/oras-go/v2/errdef"
	"oras.land/oras-go/v2/registry/remote/auth"
)

// attempt is what one request to a registry knows of its own login. It travels
// in the request's context; one goroutine uses it.
type attempt struct {
	actions   []string    // what the token must allow; a whole scope is of another repository
	looked    bool        // a token was looked for before the first sending
	sent      string      // the token of the first sending; "" is none
	answering string      // the scheme of the challenge that is answered
	others    []challenge // usable ones that are worse than that
	chosen    *challenge  // the one that the next challenge is replaced by
}

type attemptKey struct{}

func attemptOf(ctx context.Context) *attempt {
	a, _ := ctx.Value(attemptKey{}).(*attempt)
	return a
}

// next turns to the next best challenge, if there is one.
func (a *attempt) next() bool {
	if len(a.others) == 0 {
		return false
	}
	*a = attempt{actions: a.actions, chosen: &a.others[0], others: a.others[1:]}
	return true
}

// tokenCache holds the access tokens of one repository. oras-go's own cache finds a
// token only by the very scope it was asked for, which is that of the challenge
// as well as ours: where they differ, it would send every request twice. Here
// the last good token that allows as much as is needed is tried first.
type tokenCache struct {
	mu    sync.Mutex
	cache auth.Cache
	good  []goodToken // the latest last
}

type goodToken struct {
	token   string
	actions []string
}

// maxTokens bounds the tokens of one repository that are kept.
const maxTokens = 8

func newTokenCache() *tokenCache { return &tokenCache{cache: auth.NewCache()} }

func (t *tokenCache) inner() auth.Cache {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.cache
}

// GetScheme implements auth.Cache.
func (t *tokenCache) GetScheme(ctx context.Context, registry string) (auth.Scheme, error) {
	return t.inner().GetScheme(ctx, registry)
}

// GetToken implements auth.Cache. oras-go calls it before it sends a request,
// and again, with the scope of the challenge added, when that was refused.
func (t *tokenCache) GetToken(ctx context.Context, registry string, scheme auth.Scheme, key string) (string, error) {
	a := attemptOf(ctx)
	if scheme != auth.SchemeBearer || a == nil {
		return t.inner().GetToken(ctx, registry, scheme, key)
	}
	if !a.looked {
		a.looked = true
		if a.sent = t.last(a.actions); a.sent != "" {
			return a.sent, nil
		}
		return "", errdef.ErrNotFound
	}
	t.drop(a.sent)
	token, err := t.inner().GetToken(ctx, registry, scheme, key)
	if err == nil && (token == a.sent || token == "") {
		return "", errdef.ErrNotFound
	}
	return token, err
}

// Set implements auth.Cache.
func (t *tokenCache) Set(ctx context.Context, registry string, scheme auth.Scheme, key string, fetch func(context.Context) (string, error)) (string, error) {
	token, err := t.inner().Set(ctx, registry, scheme, key, fetch)
	if err == nil && scheme == auth.SchemeBearer {
		t.mu.Lock()
		defer t.mu.Unlock()
		t.good = slices.DeleteFunc(t.good, func(g goodToken) bool { return g.token == token })
		t.good = append(t.good, goodToken{token, actionsOf(key)})
		t.good = t.good[max(0, len(t.good)-maxTokens):]
	}
	return token, err
}

// last returns the latest token that allows some actions; "" is none.
func (t *tokenCache) last(actions []string) string {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, g := range slices.Backward(t.good) {
		if !slices.ContainsFunc(actions, func(action string) bool {
			return !slices.Contains(g.actions, action) && !slices.Contains(g.actions, "*")
		}) {
			return g.token
		}
	}
	return ""
}

// drop takes out a token that the registry no longer takes.
func (t *tokenCache) drop(token string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.good = slices.DeleteFunc(t.good, func(g goodToken) bool { return g.token == token })
}

// forget empties the cache: the registry is logged in to in another way.
func (t *tokenCache) forget() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.cache, t.good = auth.NewCache(), nil
}

// actionsOf reads the actions of a list of scopes, and each of the scopes. Each
// repository has tokens of its own, so whichever repository a scope names, its
// actions are taken for ours.
func actionsOf(scopes string) (actions []string) {
	for scope := range strings.FieldsSeq(scopes) {
		if strings.HasPrefix(scope, "repository:") {
			actions = append(actions, scope)
			actions = append(actions, strings.Split(scope[strings.LastIndexByte(scope, ':')+1:], ",")...)
		}
	}
	return actions
}
