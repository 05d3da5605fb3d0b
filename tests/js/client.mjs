// fal's client as it is, pointed at a server in one of the ways that `omnireel serve` documents.
import { createFalClient } from "@fal-ai/client";

const DOORS = { "fal.run": "sync", "queue.fal.run": "queue", "rest.fal.ai": "rest", "v3.fal.media": "cdn" };

function byMiddleware(base) {
  return {
    requestMiddleware: async (request) => {
      const url = new URL(request.url);
      return { ...request, url: `${base}/${DOORS[url.host]}${url.pathname}${url.search}` };
    },
  };
}

const WAYS = {
  middleware: () => byMiddleware(process.env.URL_HTTP),
  proxy: () => ({ proxyUrl: { url: `${process.env.URL_HTTP}/api/fal/proxy`, when: "always" } }),
  tls: () => byMiddleware(process.env.URL_HTTPS), // trusted by NODE_EXTRA_CA_CERTS
};

export function connect(way) {
  return createFalClient({ credentials: "any:key", ...WAYS[way]() });
}
