"use strict";

// Keys that are typed in stay in this page's memory: nothing is stored, and nothing comes from another server.
SwaggerUIBundle({
  url: "openapi.json",
  dom_id: "#docs",
  presets: [SwaggerUIBundle.presets.apis],
  layout: "BaseLayout",
  deepLinking: true,
  displayRequestDuration: true,
  docExpansion: "none",
  defaultModelsExpandDepth: 0,
  filter: true,
  persistAuthorization: false,
  queryConfigEnabled: false,
  supportedSubmitMethods: ["get", "post"],
  tryItOutEnabled: true,
  validatorUrl: null,
});
