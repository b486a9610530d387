/** The start page's words. What stands in the page itself is English already. */

const en = {
  ready: "✓ ready",
  notReady: "▲ not ready",
  withKey: "with a key it says more",
  silent: "The gateway does not answer.",
  busLost: "the bus cannot be reached",
  monitorLost: (since) => `no word from the monitor${since ? ` since ${since}` : ""}`,
  followed: (state, name) => `${state}, followed by the monitor ${name}`,
  atOnce: (n) => `${n} calls at once`,
  states: {},
  again: (s) => `, again in ${s.toFixed(1)} s`,
  longer: (n) => ` … (${n} characters)`,
  copied: "Copied",
  noCopy: "Select and copy",
};

const ru = {
  what: "Монитор звонков 3CX: каждый звонок и каждое его изменение — в тот же миг.",
  openWall: "Открыть табло",
  help: "Что показывает табло и как его настроить",
  helpAddress: "wall/help.ru",
  picture: "Табло: четыре очереди, ожидающие звонящие и операторы",
  connected: "Подключено",
  asking: "Запрос …",
  tv: "Экран на стене",
  tvHow: "Создайте ключ для каждого экрана и откройте на нём этот адрес, с ключом в конце:",
  copy: "Скопировать",
  own: "Своя АТС",
  ownFirst: "В консоли администратора 3CX: Integrations → API → Add. Отметьте XAPI, Call Control API и MyPhone.",
  ownSecond: "Запишите адрес АТС, идентификатор клиента и его секрет в callmon.toml.",
  ownThird: "словами скажет, что не так, если что-то не так.",
  ownMore: "Все шаги — в README.md и deploy/connect.md (на английском).",
  programs: "Для программ",
  docs: "все команды: прочитать и попробовать (на английском)",
  docsStream: "поток изменений (на английском)",
  forTools: "то же для инструментов",
  health: "работает ли сервер и свежи ли его ответы",
  console: "Смотреть поток",
  key: "Ключ",
  topics: "Темы",
  filter: "Фильтр, значения через запятую",
  subscribe: "Подписаться",
  stop: "Стоп",
  clear: "Очистить",
  frames: "Кадры, новые сверху",
  commands: "Команды",
  rights: "Что разрешено ключу: /webapi/{key}/. Поток — WebSocket по адресу /webapi/{key}/stream.",
  command: "команда",
  does: "что делает (на английском)",
  scope: "право",
  ready: "✓ работает",
  notReady: "▲ не готово",
  withKey: "с ключом видно больше",
  silent: "Сервер не отвечает.",
  busLost: "нет связи с Redis",
  monitorLost: (since) => `нет вестей от монитора${since ? ` с ${since}` : ""}`,
  followed: (state, name) => `${state}, монитор ${name}`,
  atOnce: (n) => `одновременных вызовов: ${n}`,
  states: {
    connected: "подключена",
    connecting: "подключение",
    lost: "связь потеряна",
    live: "на связи",
    waiting: "нет связи",
    refused: "отказано",
    closed: "закрыто",
  },
  again: (s) => `, повтор через ${s.toFixed(1).replace(".", ",")} с`,
  longer: (n) => ` … (символов: ${n})`,
  copied: "Скопировано",
  noCopy: "Выделите и скопируйте",
};

const LANGUAGES = { en, ru };
const wanted = [new URLSearchParams(location.search).get("lang"), ...navigator.languages];
const language = wanted.map((one) => one?.slice(0, 2).toLowerCase()).find((one) => one in LANGUAGES) ?? "en";

export const words = LANGUAGES[language];

/** Say the page in its reader's language. */
export function translate() {
  document.documentElement.lang = language;
  for (const item of document.querySelectorAll("[data-say]")) item.textContent = words[item.dataset.say] ?? item.textContent;
  for (const [attribute, name] of [["alt", "sayAlt"], ["href", "sayHref"], ["aria-label", "sayAriaLabel"]]) {
    const selector = `[data-say-${attribute}]`;
    for (const item of document.querySelectorAll(selector)) {
      const said = words[item.dataset[name]];
      if (said) item.setAttribute(attribute, said);
    }
  }
}
