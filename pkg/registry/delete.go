package registry

import (
	"context"
	"net/http"
	"oras.land/oras-go/v2/registry/remote/auth"
)

// Delete implements Deleter: by tag where the registry takes that, else by
// digest. Only the former takes the tag away everywhere, only the latter is
// taken everywhere.
func (r *remoteRepository) Delete(ctx context.Context, tag string) error {
	operation := "delete " + r.named(tag)
	status, err := r.delete(ctx, operation, tag)
	if err == nil || (status != http.StatusBadRequest && status != http.StatusMethodNotAllowed) {
		return err
	}
	descriptor, err := r.Resolve(ctx, tag)
	if err != nil {
		return err
	}
	_, err = r.delete(ctx, operation, descriptor.Digest.String())
	return err
}

func (r *remoteRepository) delete(ctx context.Context, operation, reference string) (status int, err error) {
	ctx = auth.AppendRepositoryScope(ctx, r.oras.Reference, auth.ActionPull, auth.ActionDelete)
	response, err := r.send(ctx, http.MethodDelete, r.address("manifests/"+reference))
	if err != nil {
		return 0, r.classify(ctx, operation, err)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusAccepted && response.StatusCode != http.StatusOK && response.StatusCode != http.StatusNoContent {
		return response.StatusCode, r.classify(ctx, operation, refused(response))
	}
	return response.StatusCode, nil
}

// address is the URL of something in the repository.
func (r *remoteRepository) address(path string) string {
	scheme := "https"
	if r.oras.PlainHTTP {
		scheme = "http"
	}
	return scheme + "://" + r.oras.Reference.Host() + "/v2/" + r.oras.Reference.Repository + "/" + path
}
