// What Lab's dialog for jobs has no field for: market triggers, data to wait for, pinning and the policies of a run.
// Nothing is decided here: the fields go to the server as they are, and it answers with a sentence where one is wrong.

const SCHEDULE = "JobDefinition";

const DUE = [
  {
    name: "when",
    label: "Market trigger",
    placeholder: "XNYS close + 20 min",
    help: "In the place of the schedule below. Holidays and half days are known: “XNYS open - 10 min”, “XNYS first session of the month, open + 30 min”.",
    wide: true,
  },
  {
    name: "ready_symbols",
    label: "Wait for the session’s bars of",
    placeholder: "AAPL, MSFT",
    help: "Until they are complete in the store. Without symbols nothing is waited for.",
    needs: "when",
    list: true,
    wide: true,
  },
  { name: "ready_dataset", label: "In the dataset", needs: "ready_symbols" },
  { name: "ready_deadline", label: "For at most", needs: "ready_symbols", help: "Then it fails, with an alert." },
];

const RUNS = [
  {
    name: "mode",
    label: "Notebook",
    choices: { now: "As it is when it runs", pinned: "Pinned as it is now" },
    help: "As it is in its file: save what you change from here on.",
    wide: true,
  },
];

const RULES = [
  {
    name: "catch_up",
    label: "Was due while nothing ran",
    choices: { latest: "Run the last one", all: "Run each", skip: "Run none" },
    scheduled: true,
  },
  { name: "window", label: "If that was within", scheduled: true },
  {
    name: "overlap",
    label: "Is due while one is at work",
    choices: { skip: "Skip it", queue: "Let it wait", cancel: "Cancel the one at work" },
    scheduled: true,
    wide: true,
  },
  { name: "time_out", label: "Stop it after" },
  { name: "priority", label: "Priority", help: "0 to 9, lower goes first", number: [0, 9] },
  { name: "retries", label: "Retries", number: [0, 10] },
  { name: "back_off", label: "First retry after", help: "Each later one after twice as long" },
  { name: "keep", label: "Keep the files of", help: "so many runs", number: [1, 100000] },
  { name: "keep_for", label: "For" },
];

const FACTS = {
  fault: "Cannot be planned",
  run_state: "State",
  run_kind: "Ran",
  run_due: "Due",
  run_when: "Market trigger",
  run_notebook: "Notebook",
  run_sha256: "Its text",
  run_as_of: "Data complete as of",
  run_moments: "Relative dates",
  run_attempts: "Attempts",
  when: "Market trigger",
  ready_symbols: "Waits for the bars of",
  ready_dataset: "In the dataset",
  ready_deadline: "For at most",
  mode: "Notebook",
  kernel: "Kernel",
  catch_up: "Was due while nothing ran",
  window: "If that was within",
  overlap: "Is due while one is at work",
  time_out: "Stopped after",
  priority: "Priority",
  retries: "Retries",
  retry_on: "After an attempt that",
  back_off: "First retry after",
  longest_back_off: "Longest pause",
  keep: "Runs that keep their files",
  keep_for: "Files are kept for",
};
const TOLD_ABOVE = new Set(["mode", "when"]);

const STYLE = `
.trii-jobs { display: grid; grid-template-columns: repeat(2, minmax(0, 1fr)); gap: 14px 16px; }
.trii-jobs h4 { grid-column: 1 / -1; margin: 6px 0 -4px; font: 600 12px var(--jp-ui-font-family);
  color: var(--jp-ui-font-color1); }
.trii-jobs h4:first-child { margin-top: 0; }
.trii-field { display: flex; flex-direction: column; gap: 3px; min-width: 0; }
.trii-field label { font-size: 11px; color: var(--jp-ui-font-color1); }
.trii-jobs .trii-wide { grid-column: 1 / -1; }
.trii-jobs small { font-size: 11px; line-height: 1.35; color: var(--jp-ui-font-color2); }
.trii-jobs input, .trii-jobs select { width: 100%; box-sizing: border-box; height: 32px; padding: 0 8px;
  font: 13px var(--jp-ui-font-family); color: var(--jp-ui-font-color1); background: var(--jp-layout-color1);
  border: 1px solid var(--jp-border-color1); border-radius: 2px; }
.trii-jobs input::placeholder { color: var(--jp-ui-font-color2); opacity: 1; }
.trii-jobs input:focus-visible, .trii-jobs select:focus-visible { outline: 2px solid var(--jp-brand-color1);
  outline-offset: -1px; }
.trii-facts { display: grid; grid-template-columns: minmax(9em, max-content) minmax(0, 1fr); gap: 6px 20px; margin: 0;
  font: 12px var(--jp-ui-font-family); }
.trii-facts dt { color: var(--jp-ui-font-color2); }
.trii-facts dd { margin: 0; color: var(--jp-ui-font-color1); white-space: pre-line; overflow-wrap: anywhere; }
.trii-gallery { color: var(--jp-content-link-color); font: 13px var(--jp-ui-font-family); }
/* A notebook always runs in its own folder. */
label[aria-describedby="jp-package-input-folder-helper-text"], #jp-package-input-folder-helper-text { display: none; }
`;

/** The names in a text that the server has sent, or that is being typed. */
function shownList(value) {
  try {
    return JSON.parse(value).join(", ");
  } catch {
    return String(value ?? "");
  }
}

function inWords(name, value) {
  const field = [...DUE, ...RUNS, ...RULES].find((each) => each.name === name);
  if (field?.list) {
    return shownList(value);
  }
  return field?.choices?.[value] ?? String(value);
}

export function advancedOptions({ React, JobsView, page, gallery, save }) {
  const h = React.createElement;
  const style = document.createElement("style");
  style.textContent = STYLE;
  document.head.append(style);

  function Field({ field, values, change }) {
    const id = `trii-jobs-${field.name}`;
    const fallback = page.defaults?.[field.name] ?? (field.name === "ready_dataset" ? page.dataset : "");
    const value = values[field.name];
    const common = { id, value: field.list ? shownList(value) : (value ?? ""), "aria-describedby": `${id}-help` };
    const onChange = (event) => {
      const typed = event.target.value;
      // As a list: a text such as "005930" would be read as a number on its way.
      change(field.name, field.list && typed ? JSON.stringify([typed]) : typed);
    };
    let input;
    if (field.choices) {
      const choices = Object.entries(field.choices).map(([key, label]) => h("option", { key, value: key }, label));
      input = h("select", { ...common, value: value ?? fallback, onChange }, choices);
    } else {
      const kind = field.number ? { type: "number", min: field.number[0], max: field.number[1] } : { type: "text" };
      input = h("input", { ...common, ...kind, placeholder: field.placeholder ?? String(fallback), onChange });
    }
    const help = field.help && h("small", { id: `${id}-help` }, field.help);
    const label = h("label", { htmlFor: id }, field.label);
    return h("div", { className: field.wide ? "trii-field trii-wide" : "trii-field" }, label, input, help);
  }

  function Form({ model, handleModelChange }) {
    const values = model.runtimeEnvironmentParameters ?? {};
    const scheduled = model.createType === SCHEDULE;
    const box = React.useRef(null);
    // A job runs what is in the file.
    React.useEffect(() => void save(model.inputFile), [model.inputFile]);
    React.useEffect(() => {
      if (model.createError) {
        // The sentence stands above the form, and the button below it.
        box.current?.closest("form")?.scrollIntoView({ block: "start" });
      }
    }, [model.createError]);
    React.useEffect(() => {
      // The dialog starts with every format chosen. A PDF takes a browser's start: it is made where it is wished for.
      // After each rendering, for the dialog's own first steps may write over one another's.
      if (model.outputFormats && !model.triiFormats) {
        const outputFormats = model.outputFormats.filter((each) => each !== "pdf");
        handleModelChange({ ...model, outputFormats, triiFormats: true });
      }
    });

    function change(name, value) {
      const { [name]: _former, ...others } = values;
      const changed = value === "" ? others : { ...others, [name]: value };
      handleModelChange({ ...model, runtimeEnvironmentParameters: changed });
    }

    const shown = (field) => (scheduled || !field.scheduled) && (!field.needs || values[field.needs]);
    const part = (title, fields) => [
      h("h4", { key: title }, title),
      ...fields.filter(shown).map((field) => h(Field, { key: field.name, field, values, change })),
    ];
    return h(
      "div",
      { className: "trii-jobs", ref: box },
      // What was written for a schedule is refused for a run: it can be seen, and cleared.
      (scheduled || DUE.some(({ name }) => values[name])) && part("When the market says so", DUE),
      scheduled && part("What runs", RUNS),
      part("Rules", RULES),
    );
  }

  function Facts({ model, jobsView }) {
    const values = model.runtimeEnvironmentParameters ?? {};
    const isRun = jobsView === JobsView.JobDetail;
    const names = Object.keys(FACTS).filter((name) => name in values && !(isRun && TOLD_ABOVE.has(name)));
    const rows = names.flatMap((name) => [
      h("dt", { key: `${name}-name` }, FACTS[name]),
      h("dd", { key: name }, inWords(name, values[name])),
    ]);
    const link = isRun && gallery && `${gallery}?run=${encodeURIComponent(model.jobId)}`;
    return h(
      React.Fragment,
      null,
      h("dl", { className: "trii-facts" }, rows),
      link && h("a", { className: "trii-gallery", href: link, target: "_blank", rel: "noopener" }, "Open in the gallery"),
    );
  }

  return (given) => h(given.jobsView === JobsView.CreateForm ? Form : Facts, given);
}
