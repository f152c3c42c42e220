// Launcher tiles and palette commands for the dashboards and the reports that the server names in its page config, the
// options of a job that Lab's own dialog has no field for, and alerts as notifications.
// A prebuilt JupyterLab extension is a webpack container. This one is small enough to be written by hand, so that
// nobody needs Node.js to install the workbench: `init` is given the modules that Lab shares, `get` returns the plugin.
(function () {
  "use strict";

  const NEEDED = ["@jupyterlab/launcher", "@jupyterlab/apputils", "@jupyterlab/coreutils", "@jupyterlab/ui-components"];
  const CATEGORY = "TRII Workbench";
  const [JOBS, ALERTS] = ["jobs.js", "alerts.js"].map((name) => new URL(name, document.currentScript.src).href);
  let scope = null;

  async function shared(name) {
    const versions = scope[name] || {};
    const version = Object.values(versions).find((entry) => entry.loaded) || Object.values(versions)[0];
    if (!version) {
      throw new Error(`JupyterLab does not share ${name}`);
    }
    return (await version.get())();
  }

  async function plugin() {
    const [{ ILauncher }, { ICommandPalette }, { PageConfig }, { LabIcon }] = await Promise.all(NEEDED.map(shared));

    function activate(app, launcher, palette) {
      const tiles = JSON.parse(PageConfig.getOption("triiTiles") || "[]");
      tiles.forEach((tile, rank) => {
        const command = `trii:open-${tile.name}`;
        app.commands.addCommand(command, {
          label: tile.title,
          caption: tile.description,
          icon: new LabIcon({ name: `trii:${tile.icon.name}`, svgstr: tile.icon.svg }),
          describedBy: { args: { type: "object", properties: {} } },
          execute: () => {
            if (tile.folder) {
              return app.commands.execute("filebrowser:open-path", { path: tile.folder });
            }
            return void window.open(PageConfig.getBaseUrl() + tile.url, "_blank", "noopener");
          },
        });
        launcher?.add({ command, category: CATEGORY, rank });
        palette?.addItem({ command, category: CATEGORY });
      });
    }

    const tiles = { id: "@trii/workbench:tiles", autoStart: true, optional: [ILauncher, ICommandPalette], activate };
    return { __esModule: true, default: [tiles, ...(await jobs(PageConfig, LabIcon)), ...alerts(PageConfig)] };
  }

  function alerts(PageConfig) {
    if (!PageConfig.getOption("triiAlerts")) {
      return [];
    }
    const page = JSON.parse(PageConfig.getOption("triiAlerts"));
    const activate = async (app) => {
      const needed = ["@jupyterlab/apputils", "@jupyterlab/services", "@jupyterlab/coreutils"].map(shared);
      const [{ Notification }, { ServerConnection }, { URLExt }] = await Promise.all(needed);
      const { showAlerts } = await import(ALERTS);
      showAlerts({ app, Notification, ServerConnection, URLExt, page });
    };
    return [{ id: "@trii/workbench:alerts", autoStart: true, activate }];
  }

  async function jobs(PageConfig, LabIcon) {
    if (!PageConfig.getOption("triiJobs")) {
      return [];
    }
    const needed = ["react", "@jupyterlab/scheduler", "@jupyterlab/docmanager"].map(shared);
    const [React, { Scheduler, JobsView }, { IDocumentManager }] = await Promise.all(needed);
    const { advancedOptions } = await import(JOBS);
    const page = JSON.parse(PageConfig.getOption("triiJobs"));
    const gallery = page.gallery && PageConfig.getBaseUrl() + page.gallery;
    const activate = (app, documents) => {
      const save = async (path) => {
        const context = documents.findWidget(path, null)?.context;
        if (context?.model.dirty) {
          await context.save();
        }
      };
      app.commands.addCommand("trii:create-job", {
        label: "Create a job",
        caption: "Run this notebook now or on a schedule",
        icon: new LabIcon({ name: `trii:${page.icon.name}`, svgstr: page.icon.svg }),
        describedBy: { args: { type: "object", properties: {} } },
        execute: async () => {
          // The dialog takes the file that is chosen in the file browser, which may be another one.
          await app.commands.execute("docmanager:show-in-file-browser");
          return app.commands.execute("scheduling:create-from-notebook");
        },
      });
      return advancedOptions({ React, JobsView, page, gallery, save });
    };
    const requires = [IDocumentManager];
    return [{ id: "@trii/workbench:jobs", autoStart: true, requires, provides: Scheduler.IAdvancedOptions, activate }];
  }

  window._JUPYTERLAB = window._JUPYTERLAB || {};
  window._JUPYTERLAB["@trii/workbench"] = {
    init: (given) => {
      scope = given;
    },
    get: async () => {
      const module = await plugin();
      return () => module;
    },
  };
})();
