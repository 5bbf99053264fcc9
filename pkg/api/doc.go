// Package api is the HTTP API of an index server, in Go types: the routes, what
// requests and answers hold beside the types of package entry, and how an error
// is told. schema/openapi.yaml describes the same, and decides. Package server
// answers by it, and package client asks by it:
//
//	response, err := http.Get(base + api.Root + "/images?target=rpi4")
//	var list api.List
//	err = json.NewDecoder(response.Body).Decode(&list)
//
// Whatever is added later is a new optional member: readers ignore members that
// they do not know, and the absence of one says nothing.
package api
