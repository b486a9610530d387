"use strict";

// A key that is typed in stays in this page's memory: nothing is stored, and nothing comes from another server.
const ERRORS = /^[45]/;
const language = document.documentElement.lang;
const words = {
  en: {
    errors: "Errors",
    each: "Each command lists the statuses that it may refuse with.",
    status: "status",
    meaning: "what it means",
    unsent: "The gateway does not send openapi.json",
  },
  ru: {
    errors: "Ошибки",
    each: "У каждой команды перечислены статусы, с которыми она может отказать.",
    status: "статус",
    meaning: "что значит",
    unsent: "Сервер не отдаёт openapi.json",
  },
}[language];

/** The key that the wallboard or the start page keeps in this browser. */
function kept() {
  try {
    return localStorage.getItem("callmon.key");
  } catch {
    return null;
  }
}

/** Take the errors out of each operation: nearly all have the same. One table at the head says what they mean. */
function fold(api) {
  const meanings = new Map();
  for (const operation of Object.values(api.paths).flatMap((path) => Object.values(path))) {
    const statuses = Object.keys(operation.responses ?? {}).filter((status) => ERRORS.test(status));
    for (const status of statuses) {
      const refers = operation.responses[status].$ref?.split("/").at(-1);
      const meant = (api.components.responses[refers] ?? operation.responses[status]).description;
      if (!meanings.has(status)) meanings.set(status, meant);
      delete operation.responses[status];
    }
    if (statuses.length) operation.description = `${operation.description ?? ""}\n\n${words.errors}: ${statuses.join(", ")}.`;
  }
  const rows = [...meanings].sort().map(([status, meant]) => `| ${status} | ${line(meant)} |`);
  const table = [`| ${words.status} | ${words.meaning} |`, "| --- | --- |", ...rows].join("\n");
  api.info.description += `\n\n## ${words.errors}\n\n${words.each}\n\n${table}\n`;
  return api;
}

/** The first paragraph of a text, in one line of a table. */
function line(text) {
  return text.split("\n\n")[0].replaceAll("\n", " ").replaceAll("|", "\\|");
}

async function show() {
  const answer = await fetch(`openapi.json?lang=${language}`);
  const ui = SwaggerUIBundle({
    spec: fold(await answer.json()),
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
    operationsSorter: (a, b) => (a.get("method") !== "get") - (b.get("method") !== "get"),
    tryItOutEnabled: true,
    validatorUrl: null,
    onComplete: () => {
      const key = kept();
      if (key) ui.preauthorizeApiKey("bearer", key);
    },
  });
}

show().catch((error) => {
  document.getElementById("docs").textContent = `${words.unsent}: ${error.message}`;
});
