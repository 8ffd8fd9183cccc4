/**
 * Recipes to begin a rule with. In: the address that answers `[{key, title, description, rule}]`, fetched when the list
 * is opened. Out: the rule of the one that is chosen; what stood there can be had back.
 */

import { useEffect, useRef, useState } from "preact/hooks";

interface Recipe {
  key: string;
  title: string;
  description: string;
  rule: unknown;
}

interface Props {
  url: string;
  text: string;
  onChoose: (text: string) => void;
}

export function Gallery({ url, text, onChoose }: Props) {
  const [recipes, setRecipes] = useState<Recipe[] | null>(null);
  const [failed, setFailed] = useState("");
  const [before, setBefore] = useState<string | null>(null);
  const fold = useRef<HTMLDetailsElement>(null);
  const load = async () => {
    if (recipes) return;
    try {
      const answer = await fetch(url, { credentials: "same-origin" });
      if (!answer.ok) throw new Error(`status ${answer.status}`);
      setRecipes((await answer.json()) as Recipe[]);
    } catch (error) {
      setFailed(`The recipes could not be loaded (${(error as Error).message}).`);
    }
  };
  const choose = (recipe: Recipe) => {
    setBefore(text);
    onChoose(JSON.stringify(recipe.rule, null, 2));
    if (fold.current) fold.current.open = false;
  };
  useEffect(() => setBefore((kept) => (kept === text ? null : kept)), [text]);
  return (
    <div class="rule-builder-gallery">
      <details ref={fold} onToggle={() => void load()}>
        <summary>Begin with a recipe</summary>
        {failed && <p class="rule-builder-message">{failed}</p>}
        {recipes?.length === 0 && <p>There is none for this kind of rule.</p>}
        <ul>
          {recipes?.map((recipe) => (
            <li key={recipe.key}>
              <button type="button" onClick={() => choose(recipe)}>{recipe.title}</button>
              {recipe.description && <span>{recipe.description}</span>}
            </li>
          ))}
        </ul>
      </details>
      {before !== null && <button type="button" class="rule-builder-add" onClick={() => { onChoose(before); setBefore(null); }}>Undo: put back what stood here</button>}
    </div>
  );
}
