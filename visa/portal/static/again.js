// Acts for which the service wants another login: the act is kept there, and this page is left for the login.
import { api } from "./api.js";

// Whether the login was needed; then the page is on its way.
export async function loginAgain(problem, instance, act) {
  if (problem.reason !== "login-again") return false;
  const { login } = await api("POST", `instances/${instance}/confirmations`, act);
  location.assign(login);
  return true;
}
