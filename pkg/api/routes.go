package api

// Root is the path that the routes of the catalog begin with.
const Root = "/v1/catalog"

// Routes returns the patterns of all routes, as http.ServeMux has them.
func Routes() []string {
	return []string{
		"GET " + Root + "/images",
		"GET " + Root + "/images/{name}",
		"GET " + Root + "/images/{name}/history",
		"GET " + Root + "/history",
		"GET " + Root + "/changes",
		"GET " + Root + "/events",
		"POST " + Root + "/images/{name}/verify",
		"POST " + Root + "/images",
		"POST " + Root + "/publish",
		"PATCH " + Root + "/images/{name}",
		"DELETE " + Root + "/images/{name}",
		"GET /openapi.json",
		"GET /healthz",
		"GET /readyz",
		"GET /metrics",
	}
}
