package registry

import (
	"context"
	"encoding/json"
	"io"
	"net/http"

	"oras.land/oras-go/v2/registry/remote/auth"
	"oras.land/oras-go/v2/registry/remote/errcode"
)

// checker is what both kinds of repository can tell about themselves.
type checker interface {
	account(ctx context.Context) (Account, error)
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
		_, err = repository.Resolve(ctx, ref.Target())
	}
	return err
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

func (r *remoteRepository) canPush(ctx context.Context) error {
	operation := "begin an upload to " + r.base
	ctx = auth.AppendRepositoryScope(ctx, r.oras.Reference, auth.ActionPull, auth.ActionPush)
	response, err := r.send(ctx, http.MethodPost, r.address("blobs/uploads/"))
	if err != nil {
		return r.classify(ctx, operation, err)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusAccepted {
		return r.classify(ctx, operation, refused(response))
	}
	// A session that nobody ends expires, so that nothing depends on this.
	session, err := response.Location()
	if err == nil && session.Host == response.Request.URL.Host && session.Scheme == response.Request.URL.Scheme {
		if ended, err := r.send(ctx, http.MethodDelete, session.String()); err == nil {
			ended.Body.Close()
		}
	}
	return nil
}

func (r *remoteRepository) send(ctx context.Context, method, address string) (*http.Response, error) {
	request, err := http.NewRequestWithContext(ctx, method, address, nil)
	if err != nil {
		return nil, err
	}
	return r.login.client.Do(request)
}

// maxErrorBody bounds what is read of a refusal, in bytes.
const maxErrorBody = 8 << 10

// refused is an answer that is an error, as oras-go reads one.
func refused(response *http.Response) error {
	var body struct {
		Errors errcode.Errors `json:"errors"`
	}
	// A registry need not give its reasons: the status is left.
	_ = json.NewDecoder(io.LimitReader(response.Body, maxErrorBody)).Decode(&body)
	return &errcode.ErrorResponse{
		Method: response.Request.Method, URL: response.Request.URL, StatusCode: response.StatusCode, Errors: body.Errors,
	}
}
