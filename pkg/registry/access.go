package registry

import (
	"context"
	"net/http"
)

// checker is what both kinds of repository can tell about themselves.
type checker interface {
	account(ctx context.Context) (Account, error)
	loggedIn() bool
	canPush(ctx context.Context) error
}

// Account returns the account that the repository of ref is asked as, where
// its registry wants a login. Nothing is asked of the registry. Layouts are
// asked anonymously.
func (c *Client) Account(ctx context.Context, ref Reference) (Account, error) {
	repository, err := c.Open(ref)
	if err != nil {
		return Account{}, err
	}
	return repository.(checker).account(ctx)
}

// LoggedIn reports whether the client has logged in to the repository of ref, with
// a login that may have been refused. Where it has not, what was answered is
// answered to anybody.
func (c *Client) LoggedIn(ref Reference) bool {
	repository, err := c.Open(ref)
	return err == nil && repository.(checker).loggedIn()
}

// CanPull reports why ref cannot be read: its manifest, where it has a tag or
// a digest, else the repository's tag list. nil means that it can.
func (c *Client) CanPull(ctx context.Context, ref Reference) error {
	repository, err := c.Open(ref)
	if err != nil {
		return err
	}
	if ref.Tag == "" && ref.Digest == "" {
		_, err = repository.Tags(ctx)
	} else {
		_, err = Confirm(ctx, repository, ref.Target())
	}
	return err
}

// ExpectPush says that the repository of ref is going to be written to: from its
// next request on, its token service is asked for pulling and pushing at once,
// however often it is opened. Some registries hide a repository that does not
// exist yet from those who could not begin it. Nothing is asked of the registry,
// and to a reference that cannot be opened nothing happens.
func (c *Client) ExpectPush(ref Reference) {
	repository, _ := c.Open(ref)
	if remote, ok := repository.(*remoteRepository); ok {
		remote.login.pushes.Store(true)
	}
}

// CanPush reports why the repository of ref cannot be written to; nil means
// that it can. Nothing is written: an upload is begun and given up.
func (c *Client) CanPush(ctx context.Context, ref Reference) error {
	repository, err := c.Open(ref)
	if err != nil {
		return err
	}
	return repository.(checker).canPush(ctx)
}

func (r *remoteRepository) account(ctx context.Context) (Account, error) {
	account, err := r.login.find(ctx)
	return account, r.classify(ctx, "log in to "+r.base, err)
}

func (r *remoteRepository) loggedIn() bool { return r.login.used() }

func (r *remoteRepository) canPush(ctx context.Context) error {
	return r.classify(ctx, "begin an upload to "+r.base, r.beginUpload(ctx))
}

// beginUpload begins an upload and gives it up.
func (r *remoteRepository) beginUpload(ctx context.Context) error {
	response, err := r.write(ctx, question{method: http.MethodPost, path: "blobs/uploads/", body: []byte{}})
	if err != nil {
		return err
	}
	session, err := r.session(response)
	switch {
	case err == nil:
		// A session that nobody ends expires, so that nothing depends on this.
		_, _ = r.write(ctx, question{method: http.MethodDelete, whole: session.String()})
	case response.StatusCode != http.StatusAccepted:
		return err
	}
	return nil
}
